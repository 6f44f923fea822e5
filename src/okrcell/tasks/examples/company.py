"""kNN affinity of cells, and the variance that neighbours explain."""

import numpy as np
from jaxtyping import Float
from scipy import sparse

from okrcell.cells.samples.nearest import nearest

NEAREST = 15
"""Number of nearest neighbours of a cell."""


def company(features: Float[np.ndarray, "cell feature"], seed: int = 0) -> sparse.csr_matrix:
    """Row-normalised, symmetrised kNN affinity (cell, cell); rows sum to 1. A single cell has weight 1 on itself.

    The kernel is Gaussian, with the distance to the cell's k-th neighbour as bandwidth.
    """
    cells = len(features)
    near = min(NEAREST, cells - 1)
    if near < 1:
        return sparse.csr_matrix(np.eye(cells, dtype=np.float32))
    found = nearest(features, near, seed)
    scale = np.maximum(found.distance[:, -1:], 1e-12)
    weight = np.exp(-((found.distance / scale) ** 2)).astype(np.float32)
    rows = np.repeat(np.arange(cells), near)
    one_way = sparse.csr_matrix((weight.ravel(), (rows, found.place.ravel())), shape=(cells, cells))
    both = sparse.csr_matrix(one_way.maximum(one_way.T))
    total = np.asarray(both.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(total, 1e-12)) @ both, dtype=np.float32)


def foretold_by_company(values: Float[np.ndarray, "cell value"], near: sparse.csr_matrix) -> float:
    """Fraction of the variance of ``values`` explained by the neighbours' mean (R2), in [0, 1]."""
    all_of_it = float(((values - values.mean(axis=0)) ** 2).sum()) if len(values) else 0.0
    if all_of_it <= 0:
        return 0.0
    return float(np.clip(1 - ((values - near @ values) ** 2).sum() / all_of_it, 0, 1))
