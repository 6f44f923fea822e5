"""Principal components of the cells of one study."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression

N_COMPONENTS = 50
N_TOP_GENES = 2_000
"""Number of genes with the highest variance that are used."""
MAX_FIT_CELLS = 10_000
"""Maximum number of evenly spaced cells on which the components are fitted; all cells are then projected."""


def pca_features(expression: Expression, seed: int = 0) -> Float[np.ndarray, "cell component"]:
    """Return principal components of log1p counts per 10,000, at most `N_COMPONENTS`, scaled to a mean squared norm of 1.

    They depend on the study alone and not on the model. Memory is bounded by `MAX_FIT_CELLS` times `N_TOP_GENES`, and by the
    result.
    """
    step = -(-max(expression.n_cells, 1) // MAX_FIT_CELLS)
    start, sampled = 0, list[sparse.csr_matrix]()
    for block in expression.blocks():
        n_cells = block.indptr.size - 1
        log_expr = log_cp10k(block)
        sampled.append(sparse.csr_matrix(log_expr[np.arange((-start) % step, n_cells, step)]))
        start += n_cells
    if not sampled:
        return np.zeros((0, 1), dtype=np.float32)
    genes, center, loadings = _fit_components(sparse.csr_matrix(sparse.vstack(sampled, format="csr")), seed)
    projected = [log_cp10k(block)[:, genes] @ loadings - center @ loadings for block in expression.blocks()]
    components = np.concatenate(projected).astype(np.float32)
    return components / max(float(np.sqrt((components**2).sum(axis=1).mean())), 1e-6)


def log_cp10k(block: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return log(1 + counts per 10,000) of linear values (cell, gene); a cell without expression stays empty."""
    values: Any = block.data
    n_values = np.diff(block.indptr)
    total = np.asarray(block.sum(axis=1), dtype=np.float32).ravel()
    scale = np.repeat(10_000 / np.maximum(total, 1e-12), n_values)
    return sparse.csr_matrix((np.log1p(values * scale), block.indices, block.indptr), shape=block.shape)


def _fit_components(
    log_expr: sparse.csr_matrix, seed: int
) -> tuple[NDArray[np.int64], Float[np.ndarray, "gene"], Float[np.ndarray, "gene component"]]:
    """Select genes and fit the components: gene indices, gene means, loadings."""
    from sklearn.utils.extmath import randomized_svd

    mean = np.asarray(log_expr.mean(axis=0)).ravel()
    variance = np.asarray(log_expr.multiply(log_expr).mean(axis=0)).ravel() - mean**2
    genes = np.sort(np.argsort(-variance, kind="stable")[:N_TOP_GENES])
    genes = genes[variance[genes] > 0]
    if not len(genes):
        return np.arange(1), np.zeros(1), np.zeros((1, 1))
    dense = log_expr[:, genes].toarray() - mean[genes]
    n_components = min(N_COMPONENTS, *dense.shape)
    _, _, loadings = randomized_svd(dense, n_components, random_state=seed)
    return genes, mean[genes], loadings.T
