"""Map labels in obs to ontology terms."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from okrcell.errors import InputError
from okrcell.provenance import receipt
from okrcell.texts.decisions import (
    Decisions,
    Progress,
    checked_overrides,
    decide,
    read_overrides,
    snapshots,
    told_apart,
    unsure,
)
from okrcell.texts.standardise import ONTOLOGY_OF

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.knowledge.vectors import TextEmbedder

MOST_TOLD = 5
"""Maximum number of rows of the overrides that a finding lists."""


def standardise(
    adata: "AnnData",
    *,
    overrides: "str | Path | pd.DataFrame | None" = None,
    embedder: "TextEmbedder | None" = None,
    progress: Progress | None = None,
) -> None:
    """Map labels in ``obs`` to ontology terms, in the columns of the CELLxGENE schema.

    Parameters
    ----------
    adata : AnnData
        Cells with at least one of the columns ``cell_type``, ``tissue``, ``disease``, ``development_stage``, ``sex`` and
        ``assay``, or of the same with the suffix ``_ontology_term_id``, in ``obs``. Only ``obs`` is read.
    overrides : str, Path or DataFrame, optional
        Reviewed decisions: the ``decisions`` table of an earlier run with some ``term_id`` changed, or the path of a
        tab-separated file of it. Needs the columns column, label and term_id; tissue is optional. An empty ``term_id`` means
        that the label gets no term.
    embedder : TextEmbedder, optional
        Encoder that compares labels with term names by their embeddings where the words alone are ambiguous, for example
        ``okrcell.model.sentence_encoder.SentenceEncoder()``. By default only words are compared.
    progress : callable, optional
        Called as ``progress(done, total, label)`` after each distinct label of a column.

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``obs["cell_type_ontology_term_id"]`` : categorical
            Term id for each cell; "" where no term matches with enough confidence. Likewise for the other columns that exist. A
            valid id that was there is kept; an obsolete id is replaced by its successor.
        ``uns["okrcell"]["standardise"]`` : dict
            Provenance record: counts, ontology releases, findings, package versions and time. ``decisions`` is a DataFrame with
            one row per distinct label: column, label, tissue, cells (count), term_id, term_name, how, score (in [0, 1]) and
            runners_up.

    Raises
    ------
    InputError
        If ``obs`` has none of the columns, or the overrides cannot be read, lack a column or name a term that does not exist.

    See Also
    --------
    annotate : Cell types from expression.
    audit : Check whether labels fit the cells.

    Notes
    -----
    The ontologies are CL, UBERON, MONDO, HsapDv, PATO and EFO. Labels are normalized and matched to names and synonyms; a match
    with a score of at least 0.6 is accepted. A cell type is read in its tissue. The paper [1]_ standardizes by the Cell
    Ontology alone; one ontology per column is our reconstruction (method 2.2).

    References
    ----------
    .. [1] OKR-CELL, arXiv:2601.05648.

    Examples
    --------
    >>> import anndata as ad
    >>> import numpy as np
    >>> import pandas as pd
    >>> import okrcell as okr
    >>> obs = pd.DataFrame({"cell_type": ["NK cells", "B-cells"], "tissue": ["blood", "PBMC"]}, index=["c1", "c2"])
    >>> adata = ad.AnnData(np.zeros((2, 1), dtype="float32"), obs=obs)
    >>> okr.tl.standardise(adata)
    >>> adata.obs["cell_type_ontology_term_id"].tolist()
    ['CL:0000623', 'CL:0000236']

    A reviewed decision takes precedence:

    >>> overrides = pd.DataFrame({"column": ["cell_type"], "label": ["NK cells"], "term_id": ["CL:0000824"]})
    >>> okr.tl.standardise(adata, overrides=overrides)
    >>> adata.uns["okrcell"]["standardise"]["overrides"]
    1
    """
    obs = pd.DataFrame(adata.obs)
    if not any(name in obs or f"{name}_ontology_term_id" in obs for name in ONTOLOGY_OF):
        raise InputError(
            f"obs has none of the columns {', '.join(ONTOLOGY_OF)}; it has {', '.join(map(str, obs)) or 'none'}. Copy "
            "the column with the labels: adata.obs['cell_type'] = adata.obs['...']."
        )
    if isinstance(overrides, pd.DataFrame):
        chosen = checked_overrides(overrides)
    else:
        chosen = None if overrides is None else read_overrides(overrides)
    decided = decide(obs, overrides=chosen, embedder=embedder, progress=progress)
    for column, ids in decided.ids.items():
        adata.obs[f"{column}_ontology_term_id"] = ids
    written = receipt(
        "standardise",
        labels=len(decided.table),
        how=told_apart(decided.table),
        ontologies=snapshots(list(decided.ids)),
        embedder="" if embedder is None else embedder.name,
        overrides=decided.overridden,
        findings=_findings(decided),
    )
    decisions = decided.table.set_axis([str(number) for number in range(len(decided.table))])
    adata.uns["okrcell"] = {
        **adata.uns.get("okrcell", {}),
        "standardise": {**written, "decisions": decisions},
    }


def _findings(decided: Decisions) -> list[str]:
    findings = []
    if left := unsure(decided.table):
        findings.append(f"{left} of {len(decided.table)} labels were left empty, because no term matched well enough.")
    if decided.unused:
        told = "; ".join(decided.unused[:MOST_TOLD]) + ("; ..." if len(decided.unused) > MOST_TOLD else "")
        findings.append(
            f"{len(decided.unused)} rows of the overrides decided nothing, because no cells have their label or because other "
            f"rows contradict them: {told}."
        )
    return findings
