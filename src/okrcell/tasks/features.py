"""Features of the cells of one or two samples: principal components and model vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.neighbors import knn_search
from okrcell.cells.pca import MAX_Z, highly_variable_genes, log_normalize
from okrcell.errors import InputError

N_NEIGHBORS = 15
"""Number of nearest neighbours of a cell."""
N_COMPONENTS = 50
"""Number of principal components of the samples; more than in `okrcell.cells.pca`."""
MIN_SHARED_GENES = 20
"""Minimum number of shared genes of two samples."""
PRIOR_MODEL_WEIGHT, PRIOR_CELLS = 0.5, 20
"""Prior weight of the model vectors, and the weight of this prior in cells."""


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


def balanced_subsample(
    rows: NDArray[np.intp], type_idx: NDArray[np.intp], max_cells: int, seed: int
) -> NDArray[np.intp]:
    """Subsample at most ``max_cells`` of ``rows``: rare types are kept whole, common types get equal numbers; ascending.

    Parameters
    ----------
    rows
        Indices of the cells to choose from.
    type_idx
        Type index of every cell, indexed by the values of ``rows``.
    max_cells
        Maximum number of cells.
    seed
        Random seed.
    """
    if len(rows) <= max_cells:
        return rows
    shuffled = np.random.default_rng(seed).permutation(rows)
    order = np.argsort(type_idx[shuffled], kind="stable")
    sorted_types = type_idx[shuffled][order]
    starts = np.flatnonzero(np.r_[True, sorted_types[1:] != sorted_types[:-1]])
    # Rank of each cell within its type; low ranks are chosen first.
    rank = np.empty(len(shuffled), dtype=np.intp)
    rank[order] = np.arange(len(shuffled)) - np.repeat(starts, np.diff(np.r_[starts, len(shuffled)]))
    return np.sort(shuffled[np.argsort(rank, kind="stable")[:max_cells]])


@dataclass(frozen=True)
class FeatureSet:
    """Feature sets of the cells with expression; rows are those of the first sample, then of the next."""

    log_components: Float[np.ndarray, "cell component"]
    """Principal components of log1p of counts per 10,000."""
    z_components: Float[np.ndarray, "cell component"]
    """Principal components of the same genes, each scaled by its standard deviation within the samples."""
    model_components: Float[np.ndarray, "cell component"]
    """Principal components of the model vectors."""
    vectors: Float[np.ndarray, "cell dim"]
    """Unit vectors of the cells from the model."""
    sample_idx: NDArray[np.intp] = field(repr=False)
    """Sample index of each row."""
    has_expression: tuple[NDArray[np.bool_], ...] = field(repr=False)
    """For each sample, True for cells with a row: those that express a gene of the model's vocabulary."""
    model_weight: float
    """Weight of the model vectors, in [0, 1]: the fraction of their variance explained by neighbours in the sample's own
    components."""

    @property
    def sample_features(self) -> Float[np.ndarray, "cell feature"]:
        """Features without the model; each of the two parts has a mean squared norm of 1."""
        return np.hstack(
            [
                scale_total_variance(self.z_components[:, : N_COMPONENTS * 2 // 5]),
                scale_total_variance(self.log_components),
            ]
        )

    @property
    def features(self) -> Float[np.ndarray, "cell feature"]:
        """Features of the samples and of the model, the latter scaled by its weight."""
        return np.hstack([self.sample_features, self.model_weight * scale_total_variance(self.model_components)])


def compute_features(
    samples: Sequence[Expression], vectors: Sequence[Float[np.ndarray, "cell dim"]], seed: int = 0
) -> FeatureSet:
    """Compute the features of one or more samples, on the genes that all of them measured.

    Genes are the union of the highly variable genes of each sample. Differences between samples are not removed here,
    because technology and composition cannot be separated yet (see `remove_batch_shift`). Memory holds the
    sparse variable genes of all cells and the vectors.

    Parameters
    ----------
    samples
        Expression of each sample.
    vectors
        Unit vectors of each sample's cells from the model; NaN for a cell without a gene of the model's vocabulary.
    seed
        Random seed of PCA and of the neighbour search.

    Raises
    ------
    InputError
        If the samples share too few genes.
    """
    shared_samples = restrict_to_shared_genes(samples)
    gene_sets = [highly_variable_genes(sample) for sample in shared_samples]
    genes = np.unique(np.concatenate([gene_set.gene for gene_set in gene_sets]))
    parts, has_expression = list[sparse.csr_matrix](), list[NDArray[np.bool_]]()
    for sample, sample_gene_set, sample_vectors in zip(shared_samples, gene_sets, vectors, strict=True):
        measured = np.zeros(sample.n_cells, dtype=bool)
        measured[sample_gene_set.nonempty_cells] = True
        has_expression.append(measured & ~np.isnan(sample_vectors[:, 0]))
        blocks = [log_normalize(block)[:, genes] for block in sample.blocks()]
        rows = sparse.csr_matrix(sparse.vstack(blocks)) if blocks else sparse.csr_matrix((0, len(genes)))
        parts.append(sparse.csr_matrix(rows[has_expression[-1]]))
    log_expr = sparse.csr_matrix(sparse.vstack(parts), dtype=np.float32)
    unit_vectors = np.concatenate(
        [sample_vectors[mask] for sample_vectors, mask in zip(vectors, has_expression, strict=True)]
    ).astype(np.float32)
    log_components = _principal_components(log_expr, N_COMPONENTS, seed)
    z_components = _principal_components(_scale_by_deviation(log_expr, parts), N_COMPONENTS, seed)
    model_components = _principal_components(unit_vectors, N_COMPONENTS * 3 // 5, seed)
    sample_idx = np.repeat(np.arange(len(parts)), [_n_rows(part) for part in parts])
    feature_set = FeatureSet(
        log_components, z_components, model_components, unit_vectors, sample_idx, tuple(has_expression), 0.0
    )
    weights = [_model_weight(feature_set, sample_idx == i, seed) for i in range(len(parts))]
    return replace(feature_set, model_weight=min(weights, default=0.0))


def scale_total_variance(values: Float[np.ndarray, "cell value"]) -> Float[np.ndarray, "cell value"]:
    """Center, and scale all columns by one factor to a total variance of 1, which is a mean squared norm of 1."""
    if not len(values):
        return values
    centered = values - values.mean(axis=0)
    return centered / max(float(np.sqrt((centered**2).sum(axis=1).mean())), 1e-6)


def _principal_components(
    values: sparse.csr_matrix | Float[np.ndarray, "cell value"], n_components: int, seed: int
) -> Float[np.ndarray, "cell component"]:
    """Return the first principal components, at least one column, by a truncated decomposition."""
    from sklearn.decomposition import PCA

    shape: Any = values.shape
    n_components = min(n_components, shape[0] - 1, shape[1] - 1)
    if n_components < 1:
        return np.zeros((shape[0], 1), dtype=np.float32)
    return PCA(n_components, svd_solver="arpack", random_state=seed).fit_transform(values).astype(np.float32)


def _model_weight(feature_set: FeatureSet, in_sample: NDArray[np.bool_], seed: int) -> float:
    """Weight of the model vectors for one sample: R2 of the neighbours' mean, shrunk to `PRIOR_MODEL_WEIGHT` for few cells."""
    n_cells = int(in_sample.sum())
    if n_cells < 3:
        return PRIOR_MODEL_WEIGHT
    explained = knn_r2(
        feature_set.model_components[in_sample], knn_affinity(feature_set.sample_features[in_sample], seed)
    )
    return (n_cells * explained + PRIOR_CELLS * PRIOR_MODEL_WEIGHT) / (n_cells + PRIOR_CELLS)


def restrict_to_shared_genes(samples: Sequence[Expression]) -> list[Expression]:
    """Restrict each sample to the shared genes, so that counts per 10,000 are comparable."""
    measured = [np.unique(sample.resolution.row[sample.resolution.row >= 0]) for sample in samples]
    common = measured[0]
    for genes in measured[1:]:
        common = np.intersect1d(common, genes)
    if len(samples) == 1:
        return list(samples)
    if len(common) < MIN_SHARED_GENES:
        raise InputError(
            f"The reference and the cells share {len(common):,} genes (of {', '.join(f'{len(rows):,}' for rows in measured)}), "
            f"but at least {MIN_SHARED_GENES} are needed. Use a reference with the same gene identifiers."
        )
    return [
        replace(
            sample,
            resolution=replace(
                sample.resolution,
                row=np.where(np.isin(sample.resolution.row, common), sample.resolution.row, -1).astype(np.int32),
            ),
        )
        for sample in samples
    ]


def _scale_by_deviation(log_expr: sparse.csr_matrix, parts: Sequence[sparse.csr_matrix]) -> sparse.csr_matrix:
    """Scale each gene by its standard deviation within samples, and clip values far above its mean."""
    shape: Any = log_expr.shape
    variance = np.zeros(shape[1])
    for part in parts:
        if _n_rows(part):
            mean = np.asarray(part.mean(axis=0)).ravel()
            variance += (np.asarray(part.multiply(part).mean(axis=0)).ravel() - mean**2) / len(parts)
    deviation = np.sqrt(np.maximum(variance, 0))
    inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    scaled = sparse.csr_matrix(log_expr.multiply(inverse[None, :]), dtype=np.float32)
    if _n_rows(scaled):
        upper = (np.asarray(scaled.mean(axis=0)).ravel() + MAX_Z).astype(np.float32)
        scaled.data = np.minimum(scaled.data, upper[scaled.indices])
    return scaled


def _n_rows(matrix: sparse.csr_matrix) -> int:
    return len(matrix.indptr) - 1
