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


def recall(
    similarity: Float[np.ndarray, "query item"], own_item: NDArray[np.intp], k: int
) -> Float[np.ndarray, "query"]:
    """Return strict R@k of each query: the probability that its own item is among the first ``k``, in [0, 1].

    Only the paired item counts, as in the paper: another item of the same type, or with the same text, is wrong.

    Parameters
    ----------
    own_item
        Column of each query's own item.
    """
    n_ahead, n_tied, has_score = _rank_counts(similarity, own_item)
    return np.where(has_score, np.clip((k - n_ahead) / n_tied, 0.0, 1.0), 0.0)


def reciprocal_rank(
    similarity: Float[np.ndarray, "query item"], own_item: NDArray[np.intp]
) -> Float[np.ndarray, "query"]:
    """Return 1 / rank of each query's own item, ranks counted from 1; the mean over queries is the MRR."""
    n_ahead, n_tied, has_score = _rank_counts(similarity, own_item)
    # The mean of 1 / rank over the ranks ahead + 1 ... ahead + tied is a difference of harmonic numbers.
    return np.where(has_score, (digamma(n_ahead + n_tied + 1) - digamma(n_ahead + 1)) / n_tied, 0.0)


def rank(similarity: Float[np.ndarray, "query item"], own_item: NDArray[np.intp]) -> Float[np.ndarray, "query"]:
    """Return the mean rank of each query's own item, counted from 1; an item without a score comes last."""
    n_ahead, n_tied, has_score = _rank_counts(similarity, own_item)
    return np.where(has_score, n_ahead + (n_tied + 1) / 2, similarity.shape[1])


def hit_rate(
    similarity: Float[np.ndarray, "query item"], relevant: Bool[np.ndarray, "query item"], k: int
) -> Float[np.ndarray, "query"]:
    """Return type-level R@k of each query: the probability that a relevant item is among the first ``k``, in [0, 1].

    NaN for a query without relevant items.

    Parameters
    ----------
    relevant
        Relevant items: the texts of the cell's type, or the cells of the text's type.
    """
    scores = _nan_last(similarity)
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    n_ahead = (scores > best).sum(axis=1)
    level = scores == best
    n_relevant = (level & relevant).sum(axis=1)
    n_irrelevant = level.sum(axis=1) - n_relevant
    # Ranks among the first k that are left for the items tied at the best relevant score.
    n_slots = np.clip(k - n_ahead, 0, n_relevant + n_irrelevant)
    probability = 1 - np.exp(_log_binomial(n_irrelevant, n_slots) - _log_binomial(n_relevant + n_irrelevant, n_slots))
    answerable = relevant.any(axis=1)
    return np.where(answerable, np.where(np.isfinite(best[:, 0]), np.clip(probability, 0.0, 1.0), 0.0), np.nan)


def ndcg(
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
    ideal_dcg = -np.sort(-gain, axis=1) @ discount
    dcg = np.array([_tied_dcg(scores, gains, discount) for scores, gains in zip(similarity, gain, strict=True)])
    return np.where(ideal_dcg > 0, dcg / np.where(ideal_dcg > 0, ideal_dcg, 1.0), np.nan)


def ontology_gain(query_ids: Sequence[str], item_ids: Sequence[str]) -> Float[np.ndarray, "query item"]:
    """Return the gain of each found type for each query type: 1 for the same type, halved with each step between them.

    Steps lead up to a shared Cell Ontology ancestor and down again (method 11.7; the halving is ours). 0 for an id that the
    ontology does not have.
    """
    from okrcell.ontology.ontology import ontology

    cells = ontology("CL")
    rows, row = np.unique(np.asarray(query_ids, dtype=str), return_inverse=True)
    columns, column = np.unique(np.asarray(item_ids, dtype=str), return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    for (r, row_id), (c, column_id) in ((a, b) for a in enumerate(rows) for b in enumerate(columns)):
        steps = cells.distance(row_id, column_id) if cells.current_id(row_id) and cells.current_id(column_id) else None
        table[r, c] = 0.0 if steps is None else 0.5**steps
    return table[row][:, column]


def _rank_counts(
    similarity: Float[np.ndarray, "query item"], own_item: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """For each query: items ranked above its own item, items tied with it (itself included), and whether it has a score."""
    own_scores = similarity[np.arange(len(similarity)), own_item][:, None]
    has_score = ~np.isnan(own_scores[:, 0])
    n_ahead = (similarity > own_scores).sum(axis=1).astype(np.float64)
    n_tied = np.where(has_score, (similarity == own_scores).sum(axis=1), 1).astype(np.float64)
    return n_ahead, n_tied, has_score


def _nan_last(similarity: Float[np.ndarray, "query item"]) -> Float[np.ndarray, "query item"]:
    return np.where(np.isnan(similarity), -np.inf, similarity)


def _log_binomial(n: NDArray[np.intp], k: NDArray[np.intp]) -> NDArray[np.float64]:
    """Logarithm of the binomial coefficient ``n`` over ``k``; minus infinity where ``k`` exceeds ``n``."""
    valid = k <= n
    clipped_k = np.where(valid, k, 0)
    return np.where(valid, gammaln(n + 1) - gammaln(clipped_k + 1) - gammaln(n - clipped_k + 1), -np.inf)


def _tied_dcg(
    scores: Float[np.ndarray, "item"], gains: Float[np.ndarray, "item"], discount: Float[np.ndarray, "place"]
) -> float:
    """DCG of one query; tied items have the mean gain of their group."""
    mask = ~np.isnan(scores)
    if not mask.any():
        return 0.0
    _, level = np.unique(-scores[mask], return_inverse=True)
    size = np.bincount(level)
    mean = np.bincount(level, weights=gains[mask]) / size
    stops = np.cumsum(size)
    cumulative_discount = np.concatenate([[0.0], np.cumsum(discount)])
    return float(mean @ (cumulative_discount[stops] - cumulative_discount[stops - size]))
