"""Highly variable genes and PCA, as in scanpy's tutorials."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.ground import expressed, logs_of, vectors_in_place
from okrcell.benchmarking.cells import values_of

GENES = 2000
COMPONENTS = 50
HIGHEST_Z = 10.0
CELLS_FOR_BINS = 3
"""Minimum number of cells per batch for selecting genes by batch."""


def variable_genes(logs: AnnData, batch: Sequence[str] | None = None, genes: int = GENES) -> AnnData:
    """Keep the highly variable genes of log-normalised cells (scanpy's flavor "seurat"), selected by batch if given.

    All genes are kept if there are no more than ``genes``.
    """
    import scanpy as sc

    if logs.n_vars <= genes or logs.n_obs < CELLS_FOR_BINS:
        return logs
    column = None
    if batch is not None and _every_batch_counts(batch):
        column = "batch"
        logs.obs[column] = np.asarray(batch, dtype=object)
    sc.pp.highly_variable_genes(logs, n_top_genes=genes, batch_key=column)
    return logs[:, logs.var["highly_variable"].to_numpy()].copy()


def components_of(logs: AnnData, seed: int, n: int = COMPONENTS) -> Float[np.ndarray, "cell component"]:
    """Return ``n`` principal components of z-scored genes, fewer if there are too few cells or genes."""
    import scanpy as sc

    n = min(n, logs.n_obs - 1, logs.n_vars - 1)
    if n < 1:
        return np.zeros((logs.n_obs, 1), dtype=np.float32)
    scaled = AnnData(values_of(logs).toarray())
    sc.pp.scale(scaled, max_value=HIGHEST_Z)
    sc.pp.pca(scaled, n_comps=n, random_state=seed)
    return np.asarray(scaled.obsm["X_pca"], dtype=np.float32)


def batch_of(cells: AnnData, batch_key: str | None, rows: NDArray[np.intp]) -> list[str] | None:
    """Return the batch of each of ``rows``, None without ``batch_key``; missing values are the batch "unknown"."""
    if batch_key is None:
        return None
    return cells.obs[batch_key].astype(object).fillna("unknown").astype(str).iloc[rows].tolist()


def components(
    cells: AnnData, batch_key: str | None, seed: int, n: int = COMPONENTS
) -> tuple[Float[np.ndarray, "cell component"], NDArray[np.intp]]:
    """Return principal components of the cells with expression, and the indices of these cells."""
    rows = expressed(cells)
    logs = variable_genes(logs_of(cells, rows), batch_of(cells, batch_key, rows))
    return components_of(logs, seed, n), rows


def embed(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell component"]:
    """Return 50 principal components of 2,000 highly variable genes; NaN for a cell without expression."""
    found, rows = components(cells, batch_key, seed)
    return vectors_in_place(found, rows, cells.n_obs)


def _every_batch_counts(batch: Sequence[str]) -> bool:
    return int(np.unique(np.asarray(batch, dtype=np.str_), return_counts=True)[1].min()) >= CELLS_FOR_BINS
