"""Principal components of the cells of one study."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression

DIRECTIONS = 50
GENES = 2_000
"""Number of genes with the highest variance that are used."""
CELLS_TO_LEARN_FROM = 10_000
"""Maximum number of evenly spaced cells on which the components are fitted; all cells are then projected."""


def directions(expression: Expression, seed: int = 0) -> Float[np.ndarray, "cell component"]:
    """Return principal components of log1p counts per 10,000, at most `DIRECTIONS`, scaled to a mean squared norm of 1.

    They depend on the study alone and not on the model. Memory is bounded by `CELLS_TO_LEARN_FROM` times `GENES`, and by the
    result.
    """
    step = -(-max(expression.n_cells, 1) // CELLS_TO_LEARN_FROM)
    start, some = 0, list[sparse.csr_matrix]()
    for block in expression.blocks():
        cells = block.indptr.size - 1
        every = levels(block)
        some.append(sparse.csr_matrix(every[np.arange((-start) % step, cells, step)]))
        start += cells
    if not some:
        return np.zeros((0, 1), dtype=np.float32)
    genes, middle, axes = _axes(sparse.csr_matrix(sparse.vstack(some, format="csr")), seed)
    placed = [levels(block)[:, genes] @ axes - middle @ axes for block in expression.blocks()]
    found = np.concatenate(placed).astype(np.float32)
    return found / max(float(np.sqrt((found**2).sum(axis=1).mean())), 1e-6)


def levels(block: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return log(1 + counts per 10,000) of linear values (cell, gene); a cell without expression stays empty."""
    values: Any = block.data
    each = np.diff(block.indptr)
    total = np.asarray(block.sum(axis=1), dtype=np.float32).ravel()
    scale = np.repeat(10_000 / np.maximum(total, 1e-12), each)
    return sparse.csr_matrix((np.log1p(values * scale), block.indices, block.indptr), shape=block.shape)


def _axes(
    cells: sparse.csr_matrix, seed: int
) -> tuple[NDArray[np.int64], Float[np.ndarray, "gene"], Float[np.ndarray, "gene component"]]:
    """Select genes and fit the components: gene indices, gene means, loadings."""
    from sklearn.utils.extmath import randomized_svd

    mean = np.asarray(cells.mean(axis=0)).ravel()
    spread = np.asarray(cells.multiply(cells).mean(axis=0)).ravel() - mean**2
    genes = np.sort(np.argsort(-spread, kind="stable")[:GENES])
    genes = genes[spread[genes] > 0]
    if not len(genes):
        return np.arange(1), np.zeros(1), np.zeros((1, 1))
    dense = cells[:, genes].toarray() - mean[genes]
    wanted = min(DIRECTIONS, *dense.shape)
    _, _, axes = randomized_svd(dense, wanted, random_state=seed)
    return genes, mean[genes], axes.T
