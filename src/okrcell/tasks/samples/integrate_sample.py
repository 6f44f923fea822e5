"""What a sample in batches tells by itself, each batch measured by its own yardstick."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.samples.sample import FEWEST_TO_JUDGE, LARGEST_Z, variable_genes

KINDS = 12
LEAST_SHARED = 0.1
"""Share of a batch's cells that must be of kinds that other batches have too; with less, there is no common measure."""
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
    """Return principal components of genes standardised within each batch, among the kinds of cells that batches share.

    A technology measures some genes better than others; a gene's mean and spread within the batch take that out. Were
    all cells of a batch counted alike, that would take out too that one batch has more B cells than another; so cells
    are weighted by `shared_kinds` first (ours; the standardising itself is usual).

    Parameters
    ----------
    batch
        Numbered from 0.
    weight, own
        From `shared_kinds`. A batch that is not ``own`` is measured by the mean and spread of all cells.

    Returns
    -------
    float32; NaN for a cell without expression. Memory is that of the variable genes of all cells, sparse.
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
    # Blocks of rows, so that the matrix is never filled as a whole; the (gene, gene) products of all are small.
    parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    square, total = np.zeros((len(chosen.gene),) * 2), np.zeros(len(chosen.gene))
    for part in parts:
        z = _standardised(chosen.logs[part], batch[part], measures)
        square += z.T @ z
        total += z.sum(axis=0)
    mean = total / len(rows)
    n = min(n, len(rows) - 1, len(chosen.gene))
    axes = np.linalg.eigh(square / len(rows) - np.outer(mean, mean))[1][:, ::-1][:, :n]
    # The sign of an axis is chance; the largest loading is made positive, so that it is the same everywhere.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n)])
    components = np.full((expression.n_cells, n), np.nan, dtype=np.float32)
    for part in parts:
        components[part] = (_standardised(chosen.logs[part], batch[part], measures) - mean) @ axes
    return components


def shared_kinds(
    vectors: Float[np.ndarray, "cell dim"], batch: Int[np.ndarray, " cell"], *, seed: int = 0
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " batch"]]:
    """Tell which cells are of a kind that other batches have too, and how much of each batch is.

    Kinds are clusters (k-means) of the model's vectors, which know cell types better than technologies. The weights make
    each batch, seen through them, hold every kind in the share in which both it and the other batches have it.

    Returns
    -------
    weight (cell,), at least 0; shared (batch,), in [0, 1]; NaN vectors have weight 0.
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
    """Tell which batches have cells enough for a mean and a spread of their own."""
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
