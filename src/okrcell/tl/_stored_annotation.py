"""The stored zero-shot annotation that is explained."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import read_records
from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.cells.expression import Expression
    from okrcell.model.embedder import Embedder
    from okrcell.tasks.candidates import Candidate

CELL_TYPE_KEY = "okrcell_cell_type"


def add_tables_of_annotation(
    adata: "AnnData",
    model: "Embedder",
    expression: "Expression",
    candidates: Sequence[str] | None,
    knowledge: str | Path | None,
    *,
    strict: bool = False,
) -> "tuple[Embedder, tuple[str, ...]]":
    """Return the model with the marker tables of the stored annotation, or of the one to be made, and remarks.

    Raises
    ------
    InputError
        If the stored annotation used other marker tables than those of ``knowledge``.
    """
    from okrcell.tasks.marker_tables import add_available_tables, added_tables

    is_stored = _has_matching_annotation(adata, model, expression, candidates, strict=strict)
    tables = [str(table) for table in read_records(adata)["annotate"].get("knowledge", ())] if is_stored else []
    if is_stored and not tables:
        return model, ()
    extended, remarks = add_available_tables(model, knowledge)
    if is_stored and tables != added_tables(extended):
        raise InputError(
            f"The cells were annotated with marker tables, {', '.join(tables)}. Pass the folder of these tables: --knowledge "
            "(knowledge=...), or annotate again."
        )
    return extended, remarks


def get_or_annotate(
    adata: "AnnData",
    model: "Embedder",
    expression: "Expression",
    candidates: Sequence[str] | None,
    *,
    strict: bool = False,
    **options: Any,
) -> "Sequence[Candidate]":
    """Return the candidates of the stored zero-shot annotation; annotate first if it is missing or does not match.

    The annotation matches if it has the same weights, expression and candidates. ``options`` are those of `annotate`.
    """
    from okrcell.tasks.candidates import Candidate
    from okrcell.tl.annotate import annotate

    if not _has_matching_annotation(adata, model, expression, candidates, strict=strict):
        annotate(adata, model, candidates=candidates, strict=strict, **options)
    record: dict[str, Any] = adata.uns["okrcell"]["annotate"]
    texts: dict[str, list[str]] = json.loads(record["candidate_texts"])
    ids = [str(term_id) for term_id in record["candidate_ids"]]
    return [Candidate(name, term_id, tuple(texts[name])) for name, term_id in zip(texts, ids, strict=True)]


def _has_matching_annotation(
    adata: "AnnData", model: "Embedder", expression: "Expression", candidates: Sequence[str] | None, *, strict: bool
) -> bool:
    """Whether the stored annotation is zero-shot, of these candidates, this expression and this model.

    Raises
    ------
    InputError
        If the cells were annotated from labelled cells and ``candidates`` is None; with ``strict``, if one is unresolved.
    """
    from okrcell.tasks.candidates import resolve_candidates_of

    record = read_records(adata).get("annotate", {})
    if CELL_TYPE_KEY not in adata.obs or "okrcell_scores" not in adata.obsm or not record:
        return False
    zero_shot = str(record.get("method", "")).startswith("zero-shot")
    if not zero_shot and candidates is None:
        raise InputError(
            f"The cells were annotated by method '{record.get('method')}', from labelled cells, but only a zero-shot "
            "annotation can be explained. Pass candidates=[...], or run okrcell.tl.annotate with candidates first."
        )
    if not zero_shot or "candidate_ids" not in record:
        return False
    matches = record.get("weights_sha256") == model.fingerprint
    matches = matches and record.get("expression_sha256") == expression.fingerprint
    if candidates is not None:
        parsed = resolve_candidates_of(pd.DataFrame(adata.obs), candidates, strict=strict).candidates
        matches = matches and [candidate.name for candidate in parsed] == list(record["candidates"])
    return matches and adata.obsm["okrcell_scores"].shape[1] == len(record["candidates"])


def best_candidate_indices(adata: "AnnData", candidates: "Sequence[Candidate]") -> "NDArray[np.intp]":
    """Return the index of each cell's candidate; 0 for a cell without expression, whose scores are NaN."""
    index_of = {candidate.name: i for i, candidate in enumerate(candidates)}
    return np.array([index_of.get(str(name), 0) for name in adata.obs[CELL_TYPE_KEY]], dtype=np.intp)
