"""Highly variable genes, z-scores and PCA of a sample."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from okrcell.cells.expression import Expression

CELL_TOTAL = 10_000
COMPONENTS = 30
"""Number of principal components for comparing cells; later ones are mostly noise."""
MEAN_BINS = 20
LARGEST_Z = 10.0
"""Clip value of z-scores, so that a gene expressed in one cell does not dominate a component (as in Seurat and scanpy)."""
FEWEST_TO_JUDGE = 20
"""Minimum number of cells of a batch to estimate its own mean, standard deviation and variable genes."""


@dataclass(frozen=True)
class VariableGenes:
    """Highly variable genes of a sample and the expression of all cells in them."""

    gene: Int[np.ndarray, " gene"]
    """Rows of the gene table, ascending."""
    logs: sparse.csr_matrix
    """(cell, gene), float32: log1p of counts per 10,000; an empty row for a cell without expression."""
    measured: Int[np.ndarray, " measured"]
    """Row numbers of the cells with expression."""


def log_normalised(block: sparse.csr_matrix) -> sparse.csr_matrix:
    """log1p of counts per 10,000, float32; a row without expression stays empty."""
    total = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
    scale = np.divide(CELL_TOTAL, total, out=np.zeros_like(total), where=total > 0)
    scaled = sparse.csr_matrix(block.multiply(scale[:, None]), dtype=np.float32)
    scaled.data = np.log1p(scaled.data)
    return scaled


def sample_components(expression: Expression, n: int = 50, *, genes: int = 2000) -> Float[np.ndarray, "cell component"]:
    """Principal components of the highly variable genes of a sample.

    The standard recipe of Seurat and scanpy (log1p of counts per 10,000, highly variable genes, z-scores clipped at 10,
    PCA), in two passes over the file; deterministic. Memory: the sparse expression of the variable genes of all cells.

    Parameters
    ----------
    expression
        The cells.
    n
        Number of components; fewer are returned if there are fewer cells or genes, but at least one.
    genes
        Number of highly variable genes.

    Returns
    -------
    float32 (cell, component), in order of decreasing variance, not scaled to unit variance; NaN for cells without
    expression.
    """
    chosen = variable_genes(expression, genes)
    components = np.full((expression.n_cells, 1), np.nan, dtype=np.float32)
    if len(chosen.measured) == 0:
        return components
    found = principal_components(z_scores(chosen.logs[chosen.measured]), n)
    components = np.full((expression.n_cells, found.shape[1]), np.nan, dtype=np.float32)
    components[chosen.measured] = found
    return components


def variable_genes(
    expression: Expression, n: int = 2000, *, batch: Int[np.ndarray, " cell"] | None = None
) -> VariableGenes:
    """Select genes with the highest dispersion among genes of similar mean (Satija et al. 2015; scanpy's "seurat" flavor).

    Parameters
    ----------
    expression
        The cells.
    n
        Number of genes; fewer are returned if fewer vary.
    batch
        int (cell,), batch of each cell, from 0. Genes are ranked within each batch of at least 20 cells, and genes that
        rank high in most batches are selected, so that genes that differ only between batches are not. Memory: one row
        of genes per batch.
    """
    batch = np.zeros(expression.n_cells, dtype=np.intp) if batch is None else batch
    batches, width = int(batch.max(initial=0)) + 1, len(expression.table)
    total, squares, filled = np.zeros((batches, width)), np.zeros((batches, width)), np.zeros(expression.n_cells, bool)
    done = 0
    for block in expression.blocks():
        rows = slice(done, done + len(np.diff(block.indptr)))
        filled[rows], done = np.diff(block.indptr) > 0, rows.stop
        values = sparse.csr_matrix(log_normalised(block))
        values.data = np.expm1(values.data, dtype=np.float64)
        for one in np.unique(batch[rows]):
            of_it = values[np.flatnonzero(batch[rows] == one)]
            total[one] += np.asarray(of_it.sum(axis=0)).ravel()
            squares[one] += np.asarray(of_it.multiply(of_it).sum(axis=0)).ravel()
    cells = np.bincount(batch[filled], minlength=batches)
    judges = np.flatnonzero(cells >= FEWEST_TO_JUDGE)
    if len(judges) == 0:
        total, squares, cells, judges = total.sum(0)[None], squares.sum(0)[None], cells.sum()[None], np.array([0])
    points = np.zeros(width)
    for one in judges:
        best = _most_dispersed(total[one], squares[one], int(cells[one]), n + n // 2)
        points[best] += n + n // 2 - np.arange(len(best))
    gene = np.sort(np.argsort(-points, kind="stable")[: min(n, int((points > 0).sum()))])
    parts = [log_normalised(block)[:, gene] for block in expression.blocks()]
    logs = sparse.csr_matrix(sparse.vstack(parts)) if parts else sparse.csr_matrix((0, len(gene)), dtype=np.float32)
    return VariableGenes(gene, logs, np.flatnonzero(filled))


def z_scores(logs: sparse.csr_matrix) -> sparse.csr_matrix:
    """Divide each gene by its standard deviation and clip it 10 standard deviations above its mean; the result is sparse.

    The mean is not subtracted: `principal_components` does so without filling the zeros.
    """
    mean = np.asarray(logs.mean(axis=0)).ravel()
    square = np.asarray(logs.multiply(logs).mean(axis=0)).ravel()
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    scaled = sparse.csr_matrix(logs.multiply(inverse[None, :]), dtype=np.float32)
    highest = (mean * inverse + LARGEST_Z).astype(np.float32)
    scaled.data = np.minimum(scaled.data, highest[scaled.indices])
    return scaled


def principal_components(values: sparse.csr_matrix, n: int) -> Float[np.ndarray, "cell component"]:
    """Scores of the first ``n`` principal components, float32 (cell, component), at least one column."""
    from scipy.linalg import eigh

    cells, genes = cast("tuple[int, int]", values.shape)
    n = min(n, cells - 1, genes)
    if n < 1:
        return np.zeros((cells, 1), dtype=np.float32)
    # Exact solution from the (gene, gene) covariance matrix: reproducible, and fast for 2,000 genes, because only the first
    # eigenvectors are computed.
    mean = np.asarray(values.mean(axis=0), dtype=np.float64).ravel()
    product = cast("sparse.csr_matrix", values.T @ values).toarray().astype(np.float64)
    covariance = (product - cells * np.outer(mean, mean)) / (cells - 1)
    _, directions = eigh(covariance, subset_by_index=(genes - n, genes - 1), overwrite_a=True, check_finite=False)
    directions = directions[:, ::-1]
    # The sign of an eigenvector is arbitrary: its largest entry is made positive, as in scikit-learn.
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(n)])
    return (values @ directions - mean @ directions).astype(np.float32)


def _most_dispersed(
    total: Float[np.ndarray, " gene"], squares: Float[np.ndarray, " gene"], cells: int, n: int
) -> Int[np.ndarray, " chosen"]:
    import pandas as pd

    if cells < 2:
        return np.flatnonzero(total > 0)[:n]
    mean = total / cells
    variance = (squares - cells * mean**2) / (cells - 1)
    varies = np.flatnonzero((mean > 0) & (variance > 1e-12))
    dispersion = pd.Series(np.log(variance[varies] / mean[varies]))
    like = dispersion.groupby(pd.cut(np.log1p(mean[varies]), MEAN_BINS, labels=False))
    spread = like.transform("std").fillna(0).to_numpy()
    above = (dispersion - like.transform("mean")).to_numpy()
    # A gene alone in its bin gets a score of 1, as in scanpy.
    score = np.divide(above, spread, out=np.ones_like(above), where=spread > 0)
    return varies[np.argsort(-score, kind="stable")[:n]]
