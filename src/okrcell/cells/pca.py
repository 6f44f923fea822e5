"""Highly variable genes, z-scores and PCA of a sample."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from okrcell.cells.expression import Expression

TARGET_SUM = 10_000
N_COMPONENTS = 30
"""Number of principal components for comparing cells; later ones are mostly noise."""
MEAN_BINS = 20
MAX_Z = 10.0
"""Clip value of z-scores, so that a gene expressed in one cell does not dominate a component (as in Seurat and scanpy)."""
MIN_BATCH_CELLS = 20
"""Minimum number of cells of a batch to estimate its own mean, standard deviation and variable genes."""


@dataclass(frozen=True)
class VariableGenes:
    """Highly variable genes of a sample and the expression of all cells in them."""

    gene: Int[np.ndarray, " gene"]
    """Rows of the gene table, ascending."""
    log_expr: sparse.csr_matrix
    """(cell, gene), float32: log1p of counts per 10,000; an empty row for a cell without expression."""
    nonempty_cells: Int[np.ndarray, " nonempty_cells"]
    """Row numbers of the cells with expression."""


def log_normalize(block: sparse.csr_matrix) -> sparse.csr_matrix:
    """log1p of counts per 10,000, float32; a row without expression stays empty."""
    total = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
    scale = np.divide(TARGET_SUM, total, out=np.zeros_like(total), where=total > 0)
    scaled = sparse.csr_matrix(block.multiply(scale[:, None]), dtype=np.float32)
    scaled.data = np.log1p(scaled.data)
    return scaled


def sample_pca(
    expression: Expression, n_components: int = 50, *, n_genes: int = 2000
) -> Float[np.ndarray, "cell component"]:
    """Principal components of the highly variable genes of a sample.

    The standard recipe of Seurat and scanpy (log1p of counts per 10,000, highly variable genes, z-scores clipped at 10,
    PCA), in two passes over the file; deterministic. Memory: the sparse expression of the variable genes of all cells.

    Parameters
    ----------
    expression
        The cells.
    n_components
        Number of components; fewer are returned if there are fewer cells or genes, but at least one.
    n_genes
        Number of highly variable genes.

    Returns
    -------
    float32 (cell, component), in order of decreasing variance, not scaled to unit variance; NaN for cells without
    expression.
    """
    variable = highly_variable_genes(expression, n_genes)
    components = np.full((expression.n_cells, 1), np.nan, dtype=np.float32)
    if len(variable.nonempty_cells) == 0:
        return components
    scores = pca(z_scores(variable.log_expr[variable.nonempty_cells]), n_components)
    components = np.full((expression.n_cells, scores.shape[1]), np.nan, dtype=np.float32)
    components[variable.nonempty_cells] = scores
    return components


def highly_variable_genes(
    expression: Expression, n_genes: int = 2000, *, batch: Int[np.ndarray, " cell"] | None = None
) -> VariableGenes:
    """Select genes with the highest dispersion among genes of similar mean (Satija et al. 2015; scanpy's "seurat" flavor).

    Parameters
    ----------
    expression
        The cells.
    n_genes
        Number of genes; fewer are returned if fewer vary.
    batch
        int (cell,), batch of each cell, from 0. Genes are ranked within each batch of at least 20 cells, and genes that
        rank high in most batches are selected, so that genes that differ only between batches are not. Memory: one row
        of genes per batch.
    """
    batch = np.zeros(expression.n_cells, dtype=np.intp) if batch is None else batch
    n_batches, n_table_genes = int(batch.max(initial=0)) + 1, len(expression.table)
    total, squares, is_nonempty = (
        np.zeros((n_batches, n_table_genes)),
        np.zeros((n_batches, n_table_genes)),
        np.zeros(expression.n_cells, bool),
    )
    n_read = 0
    for block in expression.blocks():
        rows = slice(n_read, n_read + len(np.diff(block.indptr)))
        is_nonempty[rows], n_read = np.diff(block.indptr) > 0, rows.stop
        values = sparse.csr_matrix(log_normalize(block))
        values.data = np.expm1(values.data, dtype=np.float64)
        for batch_id in np.unique(batch[rows]):
            batch_values = values[np.flatnonzero(batch[rows] == batch_id)]
            total[batch_id] += np.asarray(batch_values.sum(axis=0)).ravel()
            squares[batch_id] += np.asarray(batch_values.multiply(batch_values).sum(axis=0)).ravel()
    n_cells = np.bincount(batch[is_nonempty], minlength=n_batches)
    ranked_batches = np.flatnonzero(n_cells >= MIN_BATCH_CELLS)
    if len(ranked_batches) == 0:
        total, squares, n_cells, ranked_batches = (
            total.sum(0)[None],
            squares.sum(0)[None],
            n_cells.sum()[None],
            np.array([0]),
        )
    rank_scores = np.zeros(n_table_genes)
    for batch_id in ranked_batches:
        top = _top_dispersion_genes(total[batch_id], squares[batch_id], int(n_cells[batch_id]), n_genes + n_genes // 2)
        rank_scores[top] += n_genes + n_genes // 2 - np.arange(len(top))
    gene = np.sort(np.argsort(-rank_scores, kind="stable")[: min(n_genes, int((rank_scores > 0).sum()))])
    parts = [log_normalize(block)[:, gene] for block in expression.blocks()]
    log_expr = sparse.csr_matrix(sparse.vstack(parts)) if parts else sparse.csr_matrix((0, len(gene)), dtype=np.float32)
    return VariableGenes(gene, log_expr, np.flatnonzero(is_nonempty))


def z_scores(log_expr: sparse.csr_matrix) -> sparse.csr_matrix:
    """Divide each gene by its standard deviation and clip it 10 standard deviations above its mean; the result is sparse.

    The mean is not subtracted: `pca` does so without filling the zeros.
    """
    mean = np.asarray(log_expr.mean(axis=0)).ravel()
    square = np.asarray(log_expr.multiply(log_expr).mean(axis=0)).ravel()
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    scaled = sparse.csr_matrix(log_expr.multiply(inverse[None, :]), dtype=np.float32)
    upper = (mean * inverse + MAX_Z).astype(np.float32)
    scaled.data = np.minimum(scaled.data, upper[scaled.indices])
    return scaled


def pca(values: sparse.csr_matrix, n_components: int) -> Float[np.ndarray, "cell component"]:
    """Scores of the first ``n_components`` principal components, float32 (cell, component), at least one column."""
    n_cells, n_genes = cast("tuple[int, int]", values.shape)
    n_components = min(n_components, n_cells - 1, n_genes)
    if n_components < 1:
        return np.zeros((n_cells, 1), dtype=np.float32)
    # Exact solution from the (gene, gene) covariance matrix: reproducible, and fast for 2,000 genes, because only the first
    # eigenvectors are computed.
    mean = np.asarray(values.mean(axis=0), dtype=np.float64).ravel()
    if n_cells < n_genes:
        loadings = _loadings_from_cells(values, mean, n_components)
    else:
        product = cast("sparse.csr_matrix", values.T @ values).toarray().astype(np.float64)
        loadings = _leading_eigenvectors((product - n_cells * np.outer(mean, mean)) / (n_cells - 1), n_components)
    # The sign of an eigenvector is arbitrary: its largest entry is made positive, as in scikit-learn.
    loadings = loadings * np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(n_components)])
    return (values @ loadings - mean @ loadings).astype(np.float32)


def _loadings_from_cells(
    values: sparse.csr_matrix, mean: Float[np.ndarray, " gene"], n_components: int
) -> Float[np.ndarray, "gene component"]:
    """Loadings by the smaller (cell, cell) matrix of scalar products, which has the same eigenvalues."""
    product = cast("sparse.csr_matrix", values @ values.T).toarray().astype(np.float64)
    product -= product.mean(axis=0) + product.mean(axis=1)[:, None] - product.mean()
    vectors = _leading_eigenvectors(product, n_components)
    loadings = values.T @ vectors - np.outer(mean, vectors.sum(axis=0))
    length = np.linalg.norm(loadings, axis=0)
    return np.divide(loadings, length, out=np.zeros_like(loadings), where=length > 1e-12)


def _leading_eigenvectors(matrix: Float[np.ndarray, "a a"], n_vectors: int) -> Float[np.ndarray, "a component"]:
    from scipy.linalg import eigh

    size = len(matrix)
    _, vectors = eigh(matrix, subset_by_index=(size - n_vectors, size - 1), overwrite_a=True, check_finite=False)
    return vectors[:, ::-1]


def _top_dispersion_genes(
    total: Float[np.ndarray, " gene"], squares: Float[np.ndarray, " gene"], n_cells: int, n_top: int
) -> Int[np.ndarray, " chosen"]:
    import pandas as pd

    if n_cells < 2:
        return np.flatnonzero(total > 0)[:n_top]
    mean = total / n_cells
    variance = (squares - n_cells * mean**2) / (n_cells - 1)
    variable = np.flatnonzero((mean > 0) & (variance > 1e-12))
    dispersion = pd.Series(np.log(variance[variable] / mean[variable]))
    by_bin = dispersion.groupby(pd.cut(np.log1p(mean[variable]), MEAN_BINS, labels=False))
    bin_std = by_bin.transform("std").fillna(0).to_numpy()
    deviation = (dispersion - by_bin.transform("mean")).to_numpy()
    # A gene alone in its bin gets a score of 1, as in scanpy.
    score = np.divide(deviation, bin_std, out=np.ones_like(deviation), where=bin_std > 0)
    return variable[np.argsort(-score, kind="stable")[:n_top]]
