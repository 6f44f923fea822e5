"""How well cells and words choose each other."""

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
    """Return r of every cell with every label: the geometric mean of how they choose each other (E9, our reconstruction).

    A cell chooses among the distinct labels, a label among all cells; the latter is multiplied by the number of cells that
    have the label and cut at 1, or "common" would look like "unreliable" (method 5.2, correction for duplicates). So a
    label to which all cells lie near does not win them all.

    Parameters
    ----------
    cells, labels
        Unit vectors; NaN for a cell without expression.
    cells_of
        Number of cells that have each label.
    sharpness
        sigma of E9: what similarities are divided by.

    Returns
    -------
    In [0, 1]; NaN for a cell without expression.
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
