"""Retrieval metrics: recall@k, reciprocal rank, nDCG.

Rows of ``similarity`` are queries, columns are items: texts for cells, or cells for texts. Ties are broken at random, and the
metrics are expectations over all orders, so a model with constant scores gets exactly the chance level. Items with a score of
NaN come last; a query whose own item has NaN scores 0.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.special import digamma, gammaln


def recall(similarity: Float[np.ndarray, "query item"], own: NDArray[np.intp], k: int) -> Float[np.ndarray, "query"]:
    """Return strict R@k of each query: the probability that its own item is among the first ``k``, in [0, 1].

    Only the paired item counts, as in the paper: another item of the same type, or with the same text, is wrong.

    Parameters
    ----------
    own
        Column of each query's own item.
    """
    ahead, tied, there = _standing(similarity, own)
    return np.where(there, np.clip((k - ahead) / tied, 0.0, 1.0), 0.0)


def reciprocal_rank(similarity: Float[np.ndarray, "query item"], own: NDArray[np.intp]) -> Float[np.ndarray, "query"]:
    """Return 1 / rank of each query's own item, ranks counted from 1; the mean over queries is the MRR."""
    ahead, tied, there = _standing(similarity, own)
    # The mean of 1 / rank over the ranks ahead + 1 ... ahead + tied is a difference of harmonic numbers.
    return np.where(there, (digamma(ahead + tied + 1) - digamma(ahead + 1)) / tied, 0.0)


def rank(similarity: Float[np.ndarray, "query item"], own: NDArray[np.intp]) -> Float[np.ndarray, "query"]:
    """Return the mean rank of each query's own item, counted from 1; an item without a score comes last."""
    ahead, tied, there = _standing(similarity, own)
    return np.where(there, ahead + (tied + 1) / 2, similarity.shape[1])


def hit(
    similarity: Float[np.ndarray, "query item"], relevant: Bool[np.ndarray, "query item"], k: int
) -> Float[np.ndarray, "query"]:
    """Return type-level R@k of each query: the probability that a relevant item is among the first ``k``, in [0, 1].

    NaN for a query without relevant items.

    Parameters
    ----------
    relevant
        Relevant items: the texts of the cell's type, or the cells of the text's type.
    """
    scores = _last_if_unknown(similarity)
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    ahead = (scores > best).sum(axis=1)
    level = scores == best
    right = (level & relevant).sum(axis=1)
    wrong = level.sum(axis=1) - right
    # Ranks among the first k that are left for the items tied at the best relevant score.
    left = np.clip(k - ahead, 0, right + wrong)
    found = 1 - np.exp(_log_choices(wrong, left) - _log_choices(right + wrong, left))
    answerable = relevant.any(axis=1)
    return np.where(answerable, np.where(np.isfinite(best[:, 0]), np.clip(found, 0.0, 1.0), 0.0), np.nan)


def discounted_gain(
    similarity: Float[np.ndarray, "query item"], gain: Float[np.ndarray, "query item"], k: int
) -> Float[np.ndarray, "query"]:
    """Return nDCG@k of each query, in [0, 1] (Järvelin & Kekäläinen 2002, linear gain).

    Tied items share their gains. NaN for a query whose gains are all 0.

    Parameters
    ----------
    gain
        Gain of each item for each query, not negative, such as `ontology_gain`.
    """
    discount = np.zeros(similarity.shape[1])
    discount[:k] = 1 / np.log2(np.arange(2, min(k, similarity.shape[1]) + 2))
    best = -np.sort(-gain, axis=1) @ discount
    worth = np.array([_shared(scores, worths, discount) for scores, worths in zip(similarity, gain, strict=True)])
    return np.where(best > 0, worth / np.where(best > 0, best, 1.0), np.nan)


def ontology_gain(asked: Sequence[str], found: Sequence[str]) -> Float[np.ndarray, "query item"]:
    """Return the gain of each found type for each query type: 1 for the same type, halved with each step between them.

    Steps lead up to a shared Cell Ontology ancestor and down again (method 11.7; the halving is ours). 0 for an id that the
    ontology does not have.
    """
    from okrcell.knowledge.ontology import ontology

    cells = ontology("CL")
    rows, row = np.unique(np.asarray(asked, dtype=str), return_inverse=True)
    columns, column = np.unique(np.asarray(found, dtype=str), return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    for (r, one), (c, other) in ((a, b) for a in enumerate(rows) for b in enumerate(columns)):
        steps = cells.distance(one, other) if cells.current(one) and cells.current(other) else None
        table[r, c] = 0.0 if steps is None else 0.5**steps
    return table[row][:, column]


def _standing(
    similarity: Float[np.ndarray, "query item"], own: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """For each query: items ranked above its own item, items tied with it (itself included), and whether it has a score."""
    mine = similarity[np.arange(len(similarity)), own][:, None]
    there = ~np.isnan(mine[:, 0])
    ahead = (similarity > mine).sum(axis=1).astype(np.float64)
    tied = np.where(there, (similarity == mine).sum(axis=1), 1).astype(np.float64)
    return ahead, tied, there


def _last_if_unknown(similarity: Float[np.ndarray, "query item"]) -> Float[np.ndarray, "query item"]:
    return np.where(np.isnan(similarity), -np.inf, similarity)


def _log_choices(of: NDArray[np.intp], some: NDArray[np.intp]) -> NDArray[np.float64]:
    """Logarithm of the binomial coefficient ``of`` over ``some``; minus infinity where ``some`` exceeds ``of``."""
    enough = some <= of
    short = np.where(enough, some, 0)
    return np.where(enough, gammaln(of + 1) - gammaln(short + 1) - gammaln(of - short + 1), -np.inf)


def _shared(
    scores: Float[np.ndarray, "item"], worths: Float[np.ndarray, "item"], discount: Float[np.ndarray, "place"]
) -> float:
    """DCG of one query; tied items have the mean gain of their group."""
    known = ~np.isnan(scores)
    if not known.any():
        return 0.0
    _, level = np.unique(-scores[known], return_inverse=True)
    size = np.bincount(level)
    mean = np.bincount(level, weights=worths[known]) / size
    ends = np.cumsum(size)
    total = np.concatenate([[0.0], np.cumsum(discount)])
    return float(mean @ (total[ends] - total[ends - size]))
