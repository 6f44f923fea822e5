"""Shift between two samples that is shared by all cell types."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import softmax

from okrcell.tasks.examples.head import fit_head

ROUNDS = 4
"""Number of iterations; the shift has converged by then."""
FEWEST = 5
"""Minimum expected number of query cells of a type that is used to estimate the shift."""
FEW_CELLS = 30
"""Weight of the prior that the shift is zero, in query cells; a few cells would be moved onto any predicted type."""


def without_shift(
    features: Float[np.ndarray, "cell feature"],
    given: NDArray[np.intp],
    query: NDArray[np.bool_],
    start: Float[np.ndarray, "cell name"],
) -> Float[np.ndarray, "cell feature"]:
    """Subtract from the query the shift to the reference that all types share.

    Ours. Standardising each sample separately would confuse composition with technology. Instead, the mean of each type in
    the query is compared with its mean in the reference, and the median of these differences is subtracted: a shift of most
    types is technical, a shift of a single type may be a type that the reference lacks. Types and shift are estimated
    alternately.

    Parameters
    ----------
    features
        Input features of reference and query.
    given
        Label index of each reference cell, in row order.
    query
        True for rows of the query, False for rows of the reference.
    start
        Prior logits of all rows.
    """
    if not query.any() or query.all():
        return features
    reference = ~query
    mean, _ = _means(np.eye(start.shape[1], dtype=np.float32)[given], features[reference])
    moved = features.copy()
    for _ in range(ROUNDS):
        head = fit_head(moved[reference], given, start[reference])
        probability = softmax(head.logits(moved[query], start[query]), axis=1)
        likely = np.where(probability > 0.5, probability, 0)
        found, cells = _means(likely, features[query])
        heard = cells >= FEWEST
        if not heard.any():
            return features
        say = cells.sum() / (cells.sum() + FEW_CELLS)
        moved[query] = features[query] - say * np.median((found - mean)[heard], axis=0)
    return moved.astype(np.float32)


def _means(
    members: Float[np.ndarray, "cell name"], features: Float[np.ndarray, "cell feature"]
) -> tuple[Float[np.ndarray, "name feature"], Float[np.ndarray, "name"]]:
    """Return the mean features and the expected number of cells of each label."""
    cells = members.sum(axis=0)
    return members.T @ features / np.maximum(cells, 1e-6)[:, None], cells
