"""Match probability of cells and label texts (E9)."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import logsumexp


def match_probability(
    cell_vectors: Float[np.ndarray, "cell dim"],
    labels: Float[np.ndarray, "label dim"],
    label_counts: NDArray[np.integer],
    sigma: float = 0.05,
) -> Float[np.ndarray, "cell label"]:
    """Match probability r of every cell with every label (E9, our reconstruction).

    r is the geometric mean of two softmax probabilities: of the label among all distinct labels given the cell, and of the
    cell among all cells given the label. The second is multiplied by the number of cells with the label and clipped at 1,
    so that frequent labels are not rated as unreliable (method 5.2, correction for duplicates). A label that is similar to
    all cells therefore does not match all of them.

    Parameters
    ----------
    cell_vectors
        Unit vectors of the cells; NaN for a cell without expression.
    labels
        Unit vectors of the labels.
    label_counts
        Number of cells with each label.
    sigma
        sigma of E9: temperature of the similarities.

    Returns
    -------
    Values in [0, 1]; NaN for a cell without expression.
    """
    has_expression = ~np.isnan(cell_vectors).any(axis=1)
    match_prob = np.full((len(cell_vectors), len(labels)), np.nan, dtype=np.float32)
    if not has_expression.any():
        return match_prob
    similarity = (cell_vectors[has_expression] @ labels.T) / np.float32(sigma)
    label_prob = np.exp(similarity - logsumexp(similarity, axis=1, keepdims=True))
    cell_prob = np.exp(similarity - logsumexp(similarity, axis=0, keepdims=True)) * np.maximum(label_counts, 1)
    match_prob[has_expression] = np.sqrt(label_prob * np.minimum(cell_prob, 1))
    return match_prob
