"""Give labels the terms of the ontologies."""

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
"""Most rows of the overrides that a finding names."""


def standardise(
    adata: "AnnData",
    *,
    overrides: "str | Path | pd.DataFrame | None" = None,
    embedder: "TextEmbedder | None" = None,
    progress: Progress | None = None,
) -> None:
    """Write ontology ids beside the labels of the cells, as the CELLxGENE schema names the columns.

    Read are ``cell_type``, ``tissue``, ``disease``, ``development_stage``, ``sex`` and ``assay`` of ``adata.obs``, those
    that are there. A valid id of the author is kept; an obsolete one is brought up to date.

    Parameters
    ----------
    overrides
        Decisions of a person: the table of an earlier run with some ``term_id`` changed, or the path of its file.
    embedder
        Compares labels by vectors where words say too little, such as ``okr.model.sentence_encoder.SentenceEncoder()``.

    Returns
    -------
    None; ``obs["cell_type_ontology_term_id"]`` and so for the others, "" where unsure;
    ``uns["okrcell"]["standardise"]`` the receipt, in which ``decisions`` is a table with one row for each distinct label:
    column, label, tissue, cells, term_id, term_name, how, score in [0, 1], runners_up.

    Raises
    ------
    InputError
        If obs has none of the columns, or the overrides cannot be used.
    """
    obs = pd.DataFrame(adata.obs)
    if not any(name in obs or f"{name}_ontology_term_id" in obs for name in ONTOLOGY_OF):
        raise InputError(
            f"obs has none of the columns {', '.join(ONTOLOGY_OF)}; it has {', '.join(map(str, obs)) or 'none'}. Rename "
            "the one that names the cells: adata.obs['cell_type'] = adata.obs['...']."
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
        findings.append(f"{left} of {len(decided.table)} labels were left empty, for no term was sure.")
    if decided.unused:
        told = "; ".join(decided.unused[:MOST_TOLD]) + ("; ..." if len(decided.unused) > MOST_TOLD else "")
        findings.append(
            f"{len(decided.unused)} rows of the overrides decided nothing, for no cells have their label, or other rows "
            f"say otherwise of it: {told}."
        )
    return findings
