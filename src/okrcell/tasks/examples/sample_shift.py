"""Shift between two samples that is shared by all cell types."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import softmax

from okrcell.tasks.examples.head import fit_head

SHIFT_ITERATIONS = 4
"""Number of iterations; the shift has converged by then."""
MIN_TYPE_CELLS = 5
"""Minimum expected number of query cells of a type that is used to estimate the shift."""
SHIFT_PRIOR_CELLS = 30
"""Weight of the prior that the shift is zero, in query cells; a few cells would be moved onto any predicted type."""


def remove_batch_shift(
    features: Float[np.ndarray, "cell feature"],
    label_idx: NDArray[np.intp],
    is_query: NDArray[np.bool_],
    prior_logits: Float[np.ndarray, "cell name"],
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
    label_idx
        Label index of each reference cell, in row order.
    is_query
        True for rows of the query, False for rows of the reference.
    prior_logits
        Prior logits of all rows.
    """
    if not is_query.any() or is_query.all():
        return features
    is_reference = ~is_query
    reference_mean, _ = _label_means(np.eye(prior_logits.shape[1], dtype=np.float32)[label_idx], features[is_reference])
    shifted = features.copy()
    for _ in range(SHIFT_ITERATIONS):
        head = fit_head(shifted[is_reference], label_idx, prior_logits[is_reference])
        probability = softmax(head.logits(shifted[is_query], prior_logits[is_query]), axis=1)
        confident_prob = np.where(probability > 0.5, probability, 0)
        query_mean, n_cells = _label_means(confident_prob, features[is_query])
        is_frequent = n_cells >= MIN_TYPE_CELLS
        if not is_frequent.any():
            return features
        shrinkage = n_cells.sum() / (n_cells.sum() + SHIFT_PRIOR_CELLS)
        shifted[is_query] = features[is_query] - shrinkage * np.median(
            (query_mean - reference_mean)[is_frequent], axis=0
        )
    return shifted.astype(np.float32)


def _label_means(
    membership: Float[np.ndarray, "cell name"], features: Float[np.ndarray, "cell feature"]
) -> tuple[Float[np.ndarray, "name feature"], Float[np.ndarray, "name"]]:
    """Return the mean features and the expected number of cells of each label."""
    n_cells = membership.sum(axis=0)
    return membership.T @ features / np.maximum(n_cells, 1e-6)[:, None], n_cells
