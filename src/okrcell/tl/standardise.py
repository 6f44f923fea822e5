"""Map labels in obs to ontology terms."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from okrcell.cells.anndata_checks import check_anndata, read_records
from okrcell.cells.findings import read_findings
from okrcell.errors import InputError
from okrcell.ontology.decisions import (
    Decisions,
    check_overrides,
    count_by_method,
    count_undecided,
    decide_terms,
    ontology_releases,
    read_overrides,
)
from okrcell.ontology.standardise import COLUMN_ONTOLOGIES
from okrcell.progress import ProgressOption, progress_bar
from okrcell.provenance import provenance_record

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.evidence import TextEmbedder

MAX_ROWS_IN_FINDING = 5
"""Maximum number of rows of the overrides that a finding lists."""


def standardise(
    adata: "AnnData",
    *,
    overrides: "str | Path | pd.DataFrame | None" = None,
    embedder: "TextEmbedder | None" = None,
    progress: ProgressOption = None,
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
        ``okrcell.model.text_encoder.SentenceEncoder()``. By default only words are compared.
    progress : bool or callable, optional
        Show a bar on stderr. By default only if stderr is a terminal; True always, False never. A function is called instead,
        as ``progress(done, total, label)`` after each distinct label of a column.

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
            runners_up and omitted (words of the label that the term, which is then broader, does not cover).

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
    ``standardize`` is an alias. The ontologies are CL, UBERON, MONDO, HsapDv, PATO and EFO. Labels are normalized and
    matched to names and synonyms; a match with a score of at least 0.6 is accepted. A cell type is read in its tissue.
    The paper [1]_ standardizes by the Cell Ontology alone; one ontology per column is our reconstruction (method 2.2).

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
    check_anndata(adata)
    obs = pd.DataFrame(adata.obs)
    if not any(name in obs or f"{name}_ontology_term_id" in obs for name in COLUMN_ONTOLOGIES):
        raise InputError(
            f"obs has none of the columns {', '.join(COLUMN_ONTOLOGIES)}; it has {', '.join(map(str, obs)) or 'none'}. Copy "
            "the column with the labels: adata.obs['cell_type'] = adata.obs['...']."
        )
    if isinstance(overrides, pd.DataFrame):
        override_table = check_overrides(overrides)
    else:
        override_table = None if overrides is None else read_overrides(overrides)
    with progress_bar("Standardising", progress) as report:
        result = decide_terms(obs, overrides=override_table, embedder=embedder, progress=report)
    for column, ids in result.ids.items():
        adata.obs[f"{column}_ontology_term_id"] = ids
    record = provenance_record(
        "standardise",
        labels=len(result.table),
        how=count_by_method(result.table),
        ontologies=ontology_releases(list(result.ids)),
        embedder="" if embedder is None else embedder.name,
        overrides=result.overridden,
        findings=[*read_findings(adata), *_findings(result)],
    )
    decisions = result.table.set_axis([str(i) for i in range(len(result.table))])
    adata.uns["okrcell"] = {
        **read_records(adata),
        "standardise": {**record, "decisions": decisions},
    }


def _findings(result: Decisions) -> list[str]:
    findings = []
    if n_empty := count_undecided(result.table):
        findings.append(
            f"{n_empty} of {len(result.table)} labels were left empty, because no term matched well enough."
        )
    table = result.table
    broader = [
        f"{label} -> {term_name}, without '{omitted}'"
        for label, term_name, omitted in zip(table["label"], table["term_name"], table["omitted"], strict=True)
        if omitted
    ]
    if broader:
        rows = "; ".join(broader[:MAX_ROWS_IN_FINDING]) + ("; ..." if len(broader) > MAX_ROWS_IN_FINDING else "")
        findings.append(f"{len(broader)} labels got a broader term, because no term covers all of their words: {rows}.")
    if result.unused:
        rows = "; ".join(result.unused[:MAX_ROWS_IN_FINDING]) + (
            "; ..." if len(result.unused) > MAX_ROWS_IN_FINDING else ""
        )
        findings.append(
            f"{len(result.unused)} rows of the overrides decided nothing, because no cells have their label or because other "
            f"rows contradict them: {rows}."
        )
    return findings
