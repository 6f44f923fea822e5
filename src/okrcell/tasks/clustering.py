"""Clustering: joint representation of model and sample, Leiden with a stable resolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.neighbors import diffuse_over_knn, knn_graph
from okrcell.cells.pca import N_COMPONENTS, sample_pca
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.features import scale_total_variance

N_SUBSAMPLES = 6
SUBSAMPLE_FRACTION = 0.8
"""Fraction of the cells in each subsample."""
AGREEMENT_TOLERANCE = 0.15
"""Maximum difference to the best agreement at which a resolution counts as stable (ours)."""
LEIDEN_ITERATIONS = 2
N_DIMENSIONS = 20
SMOOTHING_ROUNDS = 3
RESOLUTIONS = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""0.1 to 2.0 in steps of 0.1, as in the paper."""


@dataclass(frozen=True)
class Stability:
    """Stability of clusters under subsampling of four fifths of the cells, per resolution."""

    resolutions: Float[np.ndarray, " resolutions"]
    agreement: Float[np.ndarray, " resolutions"]
    """Mean adjusted Rand index between subsamples, on their common cells; 1 means identical clusters."""
    n_clusters: Int[np.ndarray, " resolutions"]
    """Number of clusters of all cells."""
    best_resolution: float


def resolution_stability(graph: sparse.csr_matrix, resolutions: Sequence[float], *, seed: int = 0) -> Stability:
    """Cluster several random subsamples of the cells at each resolution, and choose the resolution.

    Coarse clusters are always stable, but carry little information; the number of clusters that persists over the widest range
    of resolutions resolves more. Among resolutions with two or more clusters and an agreement at most 0.15 below the best,
    the longest run of consecutive resolutions with the same number of clusters is chosen, and in it the one with the best
    agreement (our choice; docs/results/clustering-resolution.md). Ties go to the better agreement.

    Parameters
    ----------
    graph
        Symmetric kNN graph (cell, cell).
    resolutions
        Resolutions to choose from, each above zero.
    seed
        Random seed of subsampling and of Leiden.

    Raises
    ------
    InputError
        If there is no resolution, or one is not above zero.
    """
    values = check_resolutions(resolutions)
    n_clusters = np.array([len(np.unique(leiden(graph, value, seed))) for value in values])
    n_cells = len(np.diff(graph.indptr))
    if len(values) == 1 or n_cells < 10:
        return Stability(values, np.full(len(values), np.nan), n_clusters, float(values[np.argmin(abs(values - 1))]))
    rng = np.random.default_rng(seed)
    subsamples = [
        np.sort(rng.choice(n_cells, round(SUBSAMPLE_FRACTION * n_cells), replace=False)) for _ in range(N_SUBSAMPLES)
    ]
    subgraphs = [sparse.csr_matrix(graph[subsample][:, subsample]) for subsample in subsamples]
    agreement = np.array([_agreement(subsamples, subgraphs, value, seed) for value in values])
    eligible = np.flatnonzero(n_clusters > 1) if (n_clusters > 1).any() else np.arange(len(values))
    stable = eligible[agreement[eligible] >= agreement[eligible].max() - AGREEMENT_TOLERANCE]
    return Stability(values, agreement, n_clusters, float(values[_most_persistent(stable, n_clusters, agreement)]))


def _most_persistent(
    stable: Int[np.ndarray, " stable"],
    n_clusters: Int[np.ndarray, " resolutions"],
    agreement: Float[np.ndarray, " resolutions"],
) -> int:
    """Index with the best agreement in the longest run of consecutive stable indices with the same number of clusters."""
    is_start = np.append(True, (np.diff(stable) > 1) | (np.diff(n_clusters[stable]) != 0))
    runs = np.split(stable, np.flatnonzero(is_start)[1:])
    longest = max(runs, key=lambda run: (len(run), agreement[run].max()))
    return int(longest[agreement[longest].argmax()])


def check_resolutions(resolutions: Sequence[float]) -> Float[np.ndarray, " resolution"]:
    """Return the distinct resolutions in ascending order.

    Raises
    ------
    InputError
        If there is no resolution, or one is not above zero.
    """
    values = np.unique(np.array([float(value) for value in resolutions]))
    if len(values) == 0 or not np.isfinite(values).all() or values[0] <= 0:
        raise InputError(f"Resolutions must be numbers above zero, but are {list(resolutions)}. Try [0.5, 1.0].")
    return values


def leiden(graph: sparse.csr_matrix, resolution: float, seed: int) -> Int[np.ndarray, " cell"]:
    """Cluster a graph with symmetric weights by Leiden (Traag et al. 2019, modularity); cluster 0 is the largest."""
    import graspologic_native

    native: Any = graspologic_native
    n_cells = len(np.diff(graph.indptr))
    label = np.arange(n_cells)
    if graph.nnz > 0:
        starts, ends, weights = graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data
        _, partition = native.leiden_csr(
            starts, ends, weights, n_cells, resolution, iterations=LEIDEN_ITERATIONS, seed=seed
        )
        label = np.array([partition[cell] for cell in range(n_cells)])
    _, group, cluster_sizes = np.unique(label, return_inverse=True, return_counts=True)
    rank = np.empty(len(cluster_sizes), dtype=np.int64)
    rank[np.argsort(-cluster_sizes, kind="stable")] = np.arange(len(cluster_sizes))
    return rank[group]


def _agreement(
    subsamples: list[Int[np.ndarray, " subsample"]], subgraphs: list[sparse.csr_matrix], resolution: float, seed: int
) -> float:
    from sklearn.metrics import adjusted_rand_score

    n_cells = max(int(subsample[-1]) for subsample in subsamples) + 1
    labelings: list[Int[np.ndarray, " cell"]] = []
    for idx, (subsample, subgraph) in enumerate(zip(subsamples, subgraphs, strict=True)):
        labels = np.full(n_cells, -1)
        labels[subsample] = leiden(subgraph, resolution, seed + idx)
        labelings.append(labels)
    pairs = [(first, second, (first >= 0) & (second >= 0)) for first, second in combinations(labelings, 2)]
    return float(np.mean([adjusted_rand_score(first[common], second[common]) for first, second, common in pairs]))


@dataclass(frozen=True)
class Clustering:
    """Cluster labels with the chosen resolution."""

    labels: Int[np.ndarray, " cell"]
    """Cluster of each cell, 0 is the largest; -1 for a cell without expression."""
    resolution: float
    stability: Stability
    """Stability of the clusters at each resolution."""


def representation(
    expression: Expression, embedder: Embedder, *, seed: int = 0, progress: Progress | None = None
) -> Float[np.ndarray, "cell dim"]:
    """Embed cells and combine the vectors with the principal components of the sample (`joint_representation`).

    Returns
    -------
    float32; NaN for a cell without expression.
    """
    return joint_representation(
        embedder.embed_cells(expression, progress), sample_pca(expression, N_COMPONENTS), seed=seed
    )


def joint_representation(
    vectors: Float[np.ndarray, "cell dim"],
    components: Float[np.ndarray, "cell component"],
    *,
    n_dimensions: int = N_DIMENSIONS,
    seed: int = 0,
) -> Float[np.ndarray, "cell joined"]:
    """Combine model vectors and sample components with equal weight (ours).

    The noise of a cell's vector is independent of the noise of the sample's components. Each vector is therefore first
    averaged with those of the cell's nearest neighbours in the sample's components, which reduces the noise. Vectors and
    components are then scaled to a total variance of 1 and concatenated; the first principal components are returned.
    """
    has_expression = ~np.isnan(vectors[:, 0]) & ~np.isnan(components[:, 0])
    joint = np.full((len(vectors), 1), np.nan, dtype=np.float32)
    if not has_expression.any():
        return joint
    scaled_components = scale_total_variance(components[has_expression])
    smoothed_vectors = diffuse_over_knn(
        scale_total_variance(vectors[has_expression]), knn_graph(scaled_components, seed=seed), SMOOTHING_ROUNDS
    )
    leading_components = principal_components(
        np.hstack([scale_total_variance(smoothed_vectors), scaled_components]), n_dimensions
    )
    joint = np.full((len(vectors), leading_components.shape[1]), np.nan, dtype=np.float32)
    joint[has_expression] = leading_components
    return joint


def cluster(
    points: Float[np.ndarray, "cell dim"],
    *,
    resolutions: Sequence[float] = RESOLUTIONS,
    n_neighbors: int = 15,
    seed: int = 0,
) -> Clustering:
    """Cluster cells by Leiden on the kNN graph, at the resolution chosen by `resolution_stability`.

    Parameters
    ----------
    points
        Coordinates of the cells, such as `representation`; rows with NaN are left out.
    resolutions
        Resolutions to choose from, each above zero; a single resolution is used as it is.
    n_neighbors
        Number of nearest neighbours, the cell itself included.
    seed
        Random seed of the kNN search and of Leiden.
    """
    is_finite = np.isfinite(points).all(axis=1)
    graph = knn_graph(points[is_finite], n_neighbors, seed=seed)
    stability_result = resolution_stability(graph, resolutions, seed=seed)
    labels = np.full(len(points), -1, dtype=np.int64)
    labels[is_finite] = leiden(graph, stability_result.best_resolution, seed)
    return Clustering(labels, stability_result.best_resolution, stability_result)


def principal_components(
    values: Float[np.ndarray, "cell value"], n_components: int
) -> Float[np.ndarray, "cell component"]:
    """Return the first ``n_components`` principal components, float32, at least one column."""
    from sklearn.decomposition import PCA

    n_components = min(n_components, len(values) - 1, values.shape[1])
    if n_components < 1:
        return np.zeros((len(values), 1), dtype=np.float32)
    return PCA(n_components, svd_solver="covariance_eigh").fit_transform(values).astype(np.float32)
