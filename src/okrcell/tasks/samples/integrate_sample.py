"""Principal components of genes standardised within batches, weighted by shared clusters."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.samples.sample import FEWEST_TO_JUDGE, LARGEST_Z, variable_genes

KINDS = 12
LEAST_SHARED = 0.1
"""Minimum fraction of a batch's cells in clusters shared with other batches; otherwise the batch is not corrected."""
ROWS = 4096
STARTS = 3


def batch_components(
    expression: Expression,
    batch: Int[np.ndarray, " cell"],
    weight: Float[np.ndarray, " cell"],
    own: Bool[np.ndarray, " batch"],
    n: int,
    *,
    genes: int = 2000,
) -> Float[np.ndarray, "cell component"]:
    """Return principal components of genes standardised within each batch, weighted by shared clusters.

    Standardising by the mean and standard deviation within the batch removes differences in how well a technology measures
    a gene. With equal weights it would also remove differences in composition, such as more B cells in one batch; cells are
    therefore weighted by `shared_kinds` (the weighting is ours, standardising per batch is common).

    Parameters
    ----------
    expression
        Expression of the cells.
    batch
        Batch index of each cell, from 0.
    weight
        Weight of each cell from `shared_kinds`.
    own
        True for batches standardised by their own mean and standard deviation; the others use those of all cells.
    n
        Maximum number of components.
    genes
        Maximum number of highly variable genes.

    Returns
    -------
    float32; NaN for a cell without expression. Memory holds the sparse variable genes of all cells.
    """
    chosen = variable_genes(expression, genes, batch=batch)
    rows = chosen.measured
    if len(rows) < 2 or len(chosen.gene) == 0:
        few = np.full((expression.n_cells, 1), np.nan, dtype=np.float32)
        few[rows] = 0
        return few
    everywhere = _measure(chosen.logs[rows], np.ones(len(rows)))
    measures = [everywhere] * len(own)
    for one in np.flatnonzero(own):
        inside = rows[batch[rows] == one]
        if weight[inside].sum() > 0:
            measures[one] = _measure(chosen.logs[inside], weight[inside])
    # In blocks of rows, so that the matrix is never dense as a whole; the (gene, gene) products are small.
    parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    square, total = np.zeros((len(chosen.gene),) * 2), np.zeros(len(chosen.gene))
    for part in parts:
        z = _standardised(chosen.logs[part], batch[part], measures)
        square += z.T @ z
        total += z.sum(axis=0)
    mean = total / len(rows)
    n = min(n, len(rows) - 1, len(chosen.gene))
    axes = np.linalg.eigh(square / len(rows) - np.outer(mean, mean))[1][:, ::-1][:, :n]
    # The sign of an axis is arbitrary; the largest loading is made positive for reproducibility.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n)])
    components = np.full((expression.n_cells, n), np.nan, dtype=np.float32)
    for part in parts:
        components[part] = (_standardised(chosen.logs[part], batch[part], measures) - mean) @ axes
    return components


def shared_kinds(
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

    known = np.flatnonzero(~np.isnan(vectors[:, 0]))
    batches = int(batch.max(initial=0)) + 1
    weight, shared = np.zeros(len(vectors)), np.zeros(batches)
    if len(known) == 0:
        return weight, shared
    clusters: Any = KMeans(min(KINDS, len(known)), random_state=seed)
    clusters.n_init = STARTS
    kind = clusters.fit_predict(vectors[known])
    count = np.zeros((batches, kind.max() + 1))
    np.add.at(count, (batch[known], kind), 1)
    for one in range(batches):
        here, elsewhere = count[one], count.sum(axis=0) - count[one]
        if here.sum() == 0 or elsewhere.sum() == 0:
            continue
        common = np.minimum(here / here.sum(), elsewhere / elsewhere.sum())
        shared[one] = common.sum()
        inside = batch[known] == one
        weight[known[inside]] = (common / np.maximum(here, 1))[kind[inside]]
    return weight, shared


def large_enough(batch: Int[np.ndarray, " cell"], known: Bool[np.ndarray, " cell"]) -> Bool[np.ndarray, " batch"]:
    """True for batches with enough cells to estimate a mean and a standard deviation."""
    return np.bincount(batch[known], minlength=int(batch.max(initial=0)) + 1) >= FEWEST_TO_JUDGE


Measure = tuple[Float[np.ndarray, " gene"], Float[np.ndarray, " gene"]]


def _measure(logs: sparse.csr_matrix, weight: Float[np.ndarray, " cell"]) -> Measure:
    share = weight / weight.sum()
    mean = np.asarray(share @ logs).ravel()
    deviation = np.sqrt(np.maximum(np.asarray(share @ logs.multiply(logs).tocsr()).ravel() - mean**2, 0))
    return mean, np.where(deviation > 1e-6, deviation, 1.0)


def _standardised(
    logs: sparse.csr_matrix, batch: Int[np.ndarray, " cell"], measures: list[Measure]
) -> Float[np.ndarray, "cell gene"]:
    z = np.asarray(logs.toarray(), dtype=np.float64)
    for one in np.unique(batch):
        mean, deviation = measures[one]
        inside = batch == one
        z[inside] = (z[inside] - mean) / deviation
    return np.clip(z, -LARGEST_Z, LARGEST_Z)
