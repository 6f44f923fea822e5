"""Principal components of genes standardised within batches, weighted by shared clusters."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.pca import MAX_Z, MIN_BATCH_CELLS, highly_variable_genes

N_SHARED_CLUSTERS = 12
MIN_SHARED_FRACTION = 0.1
"""Minimum fraction of a batch's cells in clusters shared with other batches; otherwise the batch is not corrected."""
CHUNK_SIZE = 4096
N_INIT = 3


def batch_components(
    expression: Expression,
    batch: Int[np.ndarray, " cell"],
    weight: Float[np.ndarray, " cell"],
    uses_own: Bool[np.ndarray, " batch"],
    n_components: int,
    *,
    n_top_genes: int = 2000,
) -> Float[np.ndarray, "cell component"]:
    """Return principal components of genes standardised within each batch, weighted by shared clusters.

    Standardising by the mean and standard deviation within the batch removes differences in how well a technology measures
    a gene. With equal weights it would also remove differences in composition, such as more B cells in one batch; cells are
    therefore weighted by `shared_cluster_weights` (the weighting is ours, standardising per batch is common).

    Parameters
    ----------
    expression
        Expression of the cells.
    batch
        Batch index of each cell, from 0.
    weight
        Weight of each cell from `shared_cluster_weights`.
    uses_own
        True for batches standardised by their own mean and standard deviation; the others use those of all cells.
    n_components
        Maximum number of components.
    n_top_genes
        Maximum number of highly variable genes.

    Returns
    -------
    float32; NaN for a cell without expression. Memory holds the sparse variable genes of all cells.
    """
    variable = highly_variable_genes(expression, n_top_genes, batch=batch)
    rows = variable.nonempty_cells
    if len(rows) < 2 or len(variable.gene) == 0:
        fallback = np.full((expression.n_cells, 1), np.nan, dtype=np.float32)
        fallback[rows] = 0
        return fallback
    overall = _mean_std(variable.log_expr[rows], np.ones(len(rows)))
    scales = [overall] * len(uses_own)
    for batch_id in np.flatnonzero(uses_own):
        batch_rows = rows[batch[rows] == batch_id]
        if weight[batch_rows].sum() > 0:
            scales[batch_id] = _mean_std(variable.log_expr[batch_rows], weight[batch_rows])
    # In blocks of rows, so that the matrix is never dense as a whole; the (gene, gene) products are small.
    chunks = [rows[start : start + CHUNK_SIZE] for start in range(0, len(rows), CHUNK_SIZE)]
    gram, total = np.zeros((len(variable.gene),) * 2), np.zeros(len(variable.gene))
    for chunk in chunks:
        z = _standardize(variable.log_expr[chunk], batch[chunk], scales)
        gram += z.T @ z
        total += z.sum(axis=0)
    mean = total / len(rows)
    n_components = min(n_components, len(rows) - 1, len(variable.gene))
    axes = np.linalg.eigh(gram / len(rows) - np.outer(mean, mean))[1][:, ::-1][:, :n_components]
    # The sign of an axis is arbitrary; the largest loading is made positive for reproducibility.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_components)])
    components = np.full((expression.n_cells, n_components), np.nan, dtype=np.float32)
    for chunk in chunks:
        components[chunk] = (_standardize(variable.log_expr[chunk], batch[chunk], scales) - mean) @ axes
    return components


def shared_cluster_weights(
    vectors: Float[np.ndarray, "cell dim"], batch: Int[np.ndarray, " cell"], *, seed: int = 0
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " batch"]]:
    """Weight cells by how common their cluster is in the other batches.

    Clusters are k-means clusters of the model vectors, which depend more on cell type than on technology. Weighted by them,
    each batch contains a cluster in the smaller of two fractions: its own and that of the other batches.

    Returns
    -------
    weight
        (cell,), at least 0; 0 for NaN vectors.
    shared
        (batch,), fraction of each batch's cells in shared clusters, in [0, 1].
    """
    from sklearn.cluster import KMeans

    measured_rows = np.flatnonzero(~np.isnan(vectors[:, 0]))
    n_batches = int(batch.max(initial=0)) + 1
    weight, shared = np.zeros(len(vectors)), np.zeros(n_batches)
    if len(measured_rows) == 0:
        return weight, shared
    kmeans: Any = KMeans(min(N_SHARED_CLUSTERS, len(measured_rows)), random_state=seed)
    kmeans.n_init = N_INIT
    cluster = kmeans.fit_predict(vectors[measured_rows])
    count = np.zeros((n_batches, cluster.max() + 1))
    np.add.at(count, (batch[measured_rows], cluster), 1)
    for batch_id in range(n_batches):
        own_counts, other_counts = count[batch_id], count.sum(axis=0) - count[batch_id]
        if own_counts.sum() == 0 or other_counts.sum() == 0:
            continue
        common = np.minimum(own_counts / own_counts.sum(), other_counts / other_counts.sum())
        shared[batch_id] = common.sum()
        in_batch = batch[measured_rows] == batch_id
        weight[measured_rows[in_batch]] = (common / np.maximum(own_counts, 1))[cluster[in_batch]]
    return weight, shared


def has_enough_cells(
    batch: Int[np.ndarray, " cell"], has_expression: Bool[np.ndarray, " cell"]
) -> Bool[np.ndarray, " batch"]:
    """True for batches with enough cells to estimate a mean and a standard deviation."""
    return np.bincount(batch[has_expression], minlength=int(batch.max(initial=0)) + 1) >= MIN_BATCH_CELLS


MeanStd = tuple[Float[np.ndarray, " gene"], Float[np.ndarray, " gene"]]


def _mean_std(log_expr: sparse.csr_matrix, weight: Float[np.ndarray, " cell"]) -> MeanStd:
    normalized_weight = weight / weight.sum()
    mean = np.asarray(normalized_weight @ log_expr).ravel()
    std = np.sqrt(np.maximum(np.asarray(normalized_weight @ log_expr.multiply(log_expr).tocsr()).ravel() - mean**2, 0))
    return mean, np.where(std > 1e-6, std, 1.0)


def _standardize(
    log_expr: sparse.csr_matrix, batch: Int[np.ndarray, " cell"], scales: list[MeanStd]
) -> Float[np.ndarray, "cell gene"]:
    z = np.asarray(log_expr.toarray(), dtype=np.float64)
    for batch_id in np.unique(batch):
        mean, std = scales[batch_id]
        in_batch = batch == batch_id
        z[in_batch] = (z[in_batch] - mean) / std
    return np.clip(z, -MAX_Z, MAX_Z)
