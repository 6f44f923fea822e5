"""Reuse a stored zero-shot annotation, or annotate now."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.model.embedder import Embedder, Progress
    from okrcell.tasks.candidates import Candidate

CELL_TYPE_KEY = "okrcell_cell_type"


def get_or_annotate(
    adata: "AnnData",
    model: "Embedder",
    candidates: Sequence[str] | None,
    *,
    layer: str | None,
    orthologs: bool,
    progress: "Progress | None",
) -> "Sequence[Candidate]":
    """Return the candidates of the stored zero-shot annotation; annotate first if it is missing or does not match.

    The annotation matches if it has the same weights, layer and candidates.
    """
    from okrcell.tasks.candidates import Candidate
    from okrcell.tl.annotate import annotate

    if not _has_matching_annotation(adata, model, candidates, layer):
        annotate(adata, model, candidates=candidates, layer=layer, orthologs=orthologs, progress=progress)
    record: dict[str, Any] = adata.uns["okrcell"]["annotate"]
    texts: dict[str, list[str]] = json.loads(record["candidate_texts"])
    ids = [str(term_id) for term_id in record["candidate_ids"]]
    return [Candidate(name, term_id, tuple(texts[name])) for name, term_id in zip(texts, ids, strict=True)]


def _has_matching_annotation(
    adata: "AnnData", model: "Embedder", candidates: Sequence[str] | None, layer: str | None
) -> bool:
    """Whether the stored annotation is zero-shot, with these candidates, this layer and the weights of this model.

    A record of an older release, without ``candidate_ids``, does not match.

    Raises
    ------
    InputError
        If the cells were annotated from labelled cells and ``candidates`` is None.
    """
    from okrcell.tasks.candidates import parse_candidates as read_candidates

    record: dict[str, Any] = dict(adata.uns.get("okrcell", {})).get("annotate", {})
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
    matches = record.get("weights_sha256") == model.fingerprint and str(record.get("layer", "")) == (layer or "")
    if candidates is not None:
        matches = matches and [candidate.name for candidate in read_candidates(candidates)] == list(
            record["candidates"]
        )
    return matches and adata.obsm["okrcell_scores"].shape[1] == len(record["candidates"])


def best_candidate_indices(adata: "AnnData", candidates: "Sequence[Candidate]") -> "NDArray[np.intp]":
    """Return the index of each cell's candidate; 0 for a cell without expression, whose scores are NaN."""
    index_of = {candidate.name: i for i, candidate in enumerate(candidates)}
    return np.array([index_of.get(str(name), 0) for name in adata.obs[CELL_TYPE_KEY]], dtype=np.intp)
