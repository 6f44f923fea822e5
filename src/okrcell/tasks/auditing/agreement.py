"""Match probability of cells and label texts (E9)."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import logsumexp


def agreement(
    cells: Float[np.ndarray, "cell dim"],
    labels: Float[np.ndarray, "label dim"],
    cells_of: NDArray[np.integer],
    sharpness: float = 0.05,
) -> Float[np.ndarray, "cell label"]:
    """Match probability r of every cell with every label (E9, our reconstruction).

    r is the geometric mean of two softmax probabilities: of the label among all distinct labels given the cell, and of the
    cell among all cells given the label. The second is multiplied by the number of cells with the label and clipped at 1,
    so that frequent labels are not rated as unreliable (method 5.2, correction for duplicates). A label that is similar to
    all cells therefore does not match all of them.

    Parameters
    ----------
    cells
        Unit vectors of the cells; NaN for a cell without expression.
    labels
        Unit vectors of the labels.
    cells_of
        Number of cells with each label.
    sharpness
        sigma of E9: temperature of the similarities.

    Returns
    -------
    Values in [0, 1]; NaN for a cell without expression.
    """
    here = ~np.isnan(cells).any(axis=1)
    found = np.full((len(cells), len(labels)), np.nan, dtype=np.float32)
    if not here.any():
        return found
    likeness = (cells[here] @ labels.T) / np.float32(sharpness)
    chosen = np.exp(likeness - logsumexp(likeness, axis=1, keepdims=True))
    choosing = np.exp(likeness - logsumexp(likeness, axis=0, keepdims=True)) * np.maximum(cells_of, 1)
    found[here] = np.sqrt(chosen * np.minimum(choosing, 1))
    return found
