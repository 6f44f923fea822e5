"""Highly variable genes and PCA, as in scanpy's tutorials."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.classical import expressed_rows, log_expression, scatter_rows
from okrcell.benchmarking.cells import get_matrix

N_TOP_GENES = 2000
N_COMPONENTS = 50
MAX_Z_SCORE = 10.0
MIN_BATCH_CELLS = 3
"""Minimum number of cells per batch for selecting genes by batch."""


def select_variable_genes(log_expr: AnnData, batch: Sequence[str] | None = None, genes: int = N_TOP_GENES) -> AnnData:
    """Keep the highly variable genes of log-normalised cells (scanpy's flavor "seurat"), selected by batch if given.

    All genes are kept if there are no more than ``genes``.
    """
    import scanpy as sc

    if log_expr.n_vars <= genes or log_expr.n_obs < MIN_BATCH_CELLS:
        return log_expr
    column = None
    if batch is not None and _batches_large_enough(batch):
        column = "batch"
        log_expr.obs[column] = np.asarray(batch, dtype=object)
    sc.pp.highly_variable_genes(log_expr, n_top_genes=genes, batch_key=column)
    return log_expr[:, log_expr.var["highly_variable"].to_numpy()].copy()


def pca_components(log_expr: AnnData, seed: int, n: int = N_COMPONENTS) -> Float[np.ndarray, "cell component"]:
    """Return ``n`` principal components of z-scored genes, fewer if there are too few cells or genes."""
    import scanpy as sc

    n = min(n, log_expr.n_obs - 1, log_expr.n_vars - 1)
    if n < 1:
        return np.zeros((log_expr.n_obs, 1), dtype=np.float32)
    scaled = AnnData(get_matrix(log_expr).toarray())
    sc.pp.scale(scaled, max_value=MAX_Z_SCORE)
    sc.pp.pca(scaled, n_comps=n, random_state=seed)
    return np.asarray(scaled.obsm["X_pca"], dtype=np.float32)


def batch_labels(cells: AnnData, batch_key: str | None, rows: NDArray[np.intp]) -> list[str] | None:
    """Return the batch of each of ``rows``, None without ``batch_key``; missing values are the batch "unknown"."""
    if batch_key is None:
        return None
    return cells.obs[batch_key].astype(object).fillna("unknown").astype(str).iloc[rows].tolist()


def variable_gene_pca(
    cells: AnnData, batch_key: str | None, seed: int, n: int = N_COMPONENTS
) -> tuple[Float[np.ndarray, "cell component"], NDArray[np.intp]]:
    """Return principal components of the cells with expression, and the indices of these cells."""
    rows = expressed_rows(cells)
    log_expr = select_variable_genes(log_expression(cells, rows), batch_labels(cells, batch_key, rows))
    return pca_components(log_expr, seed, n), rows


def embed_hvg_pca(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell component"]:
    """Return 50 principal components of 2,000 highly variable genes; NaN for a cell without expression."""
    pcs, rows = variable_gene_pca(cells, batch_key, seed)
    return scatter_rows(pcs, rows, cells.n_obs)


def _batches_large_enough(batch: Sequence[str]) -> bool:
    return int(np.unique(np.asarray(batch, dtype=np.str_), return_counts=True)[1].min()) >= MIN_BATCH_CELLS
