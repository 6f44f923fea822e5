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

ANSWERS = "okrcell_cell_type"


def answers_from_words(
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

    if not _has_answers(adata, model, candidates, layer):
        annotate(adata, model, candidates=candidates, layer=layer, orthologs=orthologs, progress=progress)
    receipt: dict[str, Any] = adata.uns["okrcell"]["annotate"]
    texts: dict[str, list[str]] = json.loads(receipt["candidate_texts"])
    ids = [str(term) for term in receipt["candidate_ids"]]
    return [Candidate(name, term, tuple(texts[name])) for name, term in zip(texts, ids, strict=True)]


def _has_answers(adata: "AnnData", model: "Embedder", candidates: Sequence[str] | None, layer: str | None) -> bool:
    """Whether the stored annotation is zero-shot, with these candidates, this layer and the weights of this model.

    A record of an older release, without ``candidate_ids``, does not match.

    Raises
    ------
    InputError
        If the cells were annotated from labelled cells and ``candidates`` is None.
    """
    from okrcell.tasks.candidates import candidates as read_candidates

    receipt: dict[str, Any] = dict(adata.uns.get("okrcell", {})).get("annotate", {})
    if ANSWERS not in adata.obs or "okrcell_scores" not in adata.obsm or not receipt:
        return False
    from_words = str(receipt.get("method", "")).startswith("zero-shot")
    if not from_words and candidates is None:
        raise InputError(
            f"The cells were annotated by method '{receipt.get('method')}', from labelled cells, but only a zero-shot "
            "annotation can be explained. Pass candidates=[...], or run okrcell.tl.annotate with candidates first."
        )
    if not from_words or "candidate_ids" not in receipt:
        return False
    same = receipt.get("weights_sha256") == model.fingerprint and str(receipt.get("layer", "")) == (layer or "")
    if candidates is not None:
        same = same and [each.name for each in read_candidates(candidates)] == list(receipt["candidates"])
    return same and adata.obsm["okrcell_scores"].shape[1] == len(receipt["candidates"])


def best_of(adata: "AnnData", some: "Sequence[Candidate]") -> "NDArray[np.intp]":
    """Return the index of each cell's candidate; 0 for a cell without expression, whose scores are NaN."""
    number = {each.name: place for place, each in enumerate(some)}
    return np.array([number.get(str(name), 0) for name in adata.obs[ANSWERS]], dtype=np.intp)
