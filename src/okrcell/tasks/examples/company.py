"""kNN affinity of cells, and the variance that neighbours explain."""

import numpy as np
from jaxtyping import Float
from scipy import sparse

from okrcell.cells.samples.nearest import knn_search

N_NEIGHBORS = 15
"""Number of nearest neighbours of a cell."""


def knn_affinity(features: Float[np.ndarray, "cell feature"], seed: int = 0) -> sparse.csr_matrix:
    """Row-normalised, symmetrised kNN affinity (cell, cell); rows sum to 1. A single cell has weight 1 on itself.

    The kernel is Gaussian, with the distance to the cell's k-th neighbour as bandwidth.
    """
    n_cells = len(features)
    n_neighbors = min(N_NEIGHBORS, n_cells - 1)
    if n_neighbors < 1:
        return sparse.csr_matrix(np.eye(n_cells, dtype=np.float32))
    neighbors = knn_search(features, n_neighbors, seed)
    scale = np.maximum(neighbors.distances[:, -1:], 1e-12)
    weight = np.exp(-((neighbors.distances / scale) ** 2)).astype(np.float32)
    rows = np.repeat(np.arange(n_cells), n_neighbors)
    directed = sparse.csr_matrix((weight.ravel(), (rows, neighbors.indices.ravel())), shape=(n_cells, n_cells))
    symmetric = sparse.csr_matrix(directed.maximum(directed.T))
    total = np.asarray(symmetric.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(total, 1e-12)) @ symmetric, dtype=np.float32)


def knn_r2(values: Float[np.ndarray, "cell value"], affinity: sparse.csr_matrix) -> float:
    """Fraction of the variance of ``values`` explained by the neighbours' mean (R2), in [0, 1]."""
    total_variance = float(((values - values.mean(axis=0)) ** 2).sum()) if len(values) else 0.0
    if total_variance <= 0:
        return 0.0
    return float(np.clip(1 - ((values - affinity @ values) ** 2).sum() / total_variance, 0, 1))
