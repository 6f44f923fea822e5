"""Reciprocal-rank fusion of several rankings."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from okrcell.settings import Settings


class FusionSettings(Settings):
    """Weights of the search methods; tuned on definitions (``docs/results/retrieval.md``)."""

    words: Annotated[float, Field(ge=0)] = 0.3
    """Weight of BM25 over words."""
    fragments: Annotated[float, Field(ge=0)] = 0.3
    """Weight of BM25 over character n-grams, which relate "osteocyte" and "osteoblast"."""
    meaning: Annotated[float, Field(ge=0)] = 0.4
    """Weight of the dense vectors of a text encoder."""
    k: Annotated[float, Field(ge=0)] = 3.0
    """Constant of ``1 / (k + rank)``: a larger value flattens the ranks. The usual value 60 was worse here."""
    depth: Annotated[int, Field(ge=1)] = 200
    """Number of passages of each ranking that are used; lower ranks score 0."""


class Ranking(NamedTuple):
    """Passage indices in the order of one search method, best first, and the weight of the method."""

    indices: NDArray[np.int64]
    weight: float


class FusedRanking(NamedTuple):
    """Result of the fusion of several rankings."""

    indices: NDArray[np.int64]
    """Passage indices, best first."""
    score: NDArray[np.float64]
    """Score of each of `indices`; at most the sum of the weights divided by ``k + 1``."""
    rank: NDArray[np.int64]
    """Rank of each passage in each ranking, (passage, ranking), starting at 1; 0 if it is not in the ranking."""


def fuse_rankings(rankings: Sequence[Ranking], k: float) -> FusedRanking:
    """Sum ``weight / (k + rank)`` over the rankings that contain a passage (reciprocal-rank fusion, Cormack et al. 2009).

    Ranks start at 1. Ties are ordered by the smaller index, so the result is deterministic.
    """
    indices = np.unique(np.concatenate([ranking.indices for ranking in rankings] or [np.empty(0, dtype=np.int64)]))
    rank = np.zeros((len(indices), len(rankings)), dtype=np.int64)
    score = np.zeros(len(indices))
    for column, (ranked, weight) in enumerate(rankings):
        rows = np.searchsorted(indices, ranked)
        rank[rows, column] = np.arange(1, len(ranked) + 1)
        score[rows] += weight / (k + rank[rows, column])
    order = np.lexsort((indices, -score))
    return FusedRanking(indices[order].astype(np.int64), score[order], rank[order])


def top_indices(score: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Return the indices of the ``depth`` highest scores, highest first; ties are ordered by the smaller index.

    If ``allowed`` is given, only indices where it is true are considered.
    """
    indices = np.arange(len(score)) if allowed is None else np.flatnonzero(allowed)
    candidate_scores = score if allowed is None else score[indices]
    if depth < len(candidate_scores):
        above_cutoff = np.flatnonzero(candidate_scores >= np.partition(candidate_scores, -depth)[-depth])
        indices, candidate_scores = indices[above_cutoff], candidate_scores[above_cutoff]
    return indices[np.lexsort((indices, -candidate_scores))][:depth]
