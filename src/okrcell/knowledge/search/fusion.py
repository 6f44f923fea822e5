"""Several rankings become one."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from okrcell.settings import Settings


class FusionSettings(Settings):
    """How much each way of searching has to say; tuned on definitions (``docs/results/retrieval.md``)."""

    words: Annotated[float, Field(ge=0)] = 0.3
    """Weight of the ranking by shared words (BM25)."""
    fragments: Annotated[float, Field(ge=0)] = 0.3
    """Weight of the ranking by shared parts of words: "osteocyte" and "osteoblast" have four letters in common (BM25)."""
    meaning: Annotated[float, Field(ge=0)] = 0.4
    """Weight of the ranking by the vectors of a text encoder."""
    k: Annotated[float, Field(ge=0)] = 3.0
    """Of ``1 / (k + rank)``: the larger, the less it counts to be first rather than tenth. The usual 60 did worse here."""
    depth: Annotated[int, Field(ge=1)] = 200
    """How many of each ranking are looked at; what stands lower counts for nothing."""


class Ranking(NamedTuple):
    """Places in the order of one way of searching, the best first, and how much it has to say."""

    places: NDArray[np.int64]
    weight: float


class Fused(NamedTuple):
    """What several rankings together think."""

    places: NDArray[np.int64]
    """The best first."""
    score: NDArray[np.float64]
    """Beside `places`; at most the sum of the weights divided by ``k + 1``."""
    rank: NDArray[np.int64]
    """Of each place in each ranking, (place, ranking), from 1 on; 0 where a ranking does not have it."""


def fuse(rankings: Sequence[Ranking], k: float) -> Fused:
    """Add up ``weight / (k + rank)`` over the rankings that have a place (Cormack et al. 2009, reciprocal-rank fusion).

    Ranks count from 1. Equal sums go by the smaller place, so that the answer is always the same.
    """
    places = np.unique(np.concatenate([ranking.places for ranking in rankings] or [np.empty(0, dtype=np.int64)]))
    rank = np.zeros((len(places), len(rankings)), dtype=np.int64)
    score = np.zeros(len(places))
    for column, (found, weight) in enumerate(rankings):
        rows = np.searchsorted(places, found)
        rank[rows, column] = np.arange(1, len(found) + 1)
        score[rows] += weight / (k + rank[rows, column])
    order = np.lexsort((places, -score))
    return Fused(places[order].astype(np.int64), score[order], rank[order])


def best(score: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Return the places of the ``depth`` highest scores, the highest first; equal scores go by the smaller place.

    Where ``allowed`` is given, only places where it is true come into question.
    """
    places = np.arange(len(score)) if allowed is None else np.flatnonzero(allowed)
    seen = score if allowed is None else score[places]
    if depth < len(seen):
        chosen = np.flatnonzero(seen >= np.partition(seen, -depth)[-depth])
        places, seen = places[chosen], seen[chosen]
    return places[np.lexsort((places, -seen))][:depth]
