"""Leiden clustering and the choice of its resolution by stability."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from okrcell.errors import InputError

N_SUBSAMPLES = 6
SUBSAMPLE_FRACTION = 0.8
"""Fraction of the cells in each subsample."""
AGREEMENT_TOLERANCE = 0.05
LEIDEN_ITERATIONS = 2


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

    The highest resolution is chosen whose agreement is at most 0.05 below the best agreement among resolutions with two or
    more clusters: coarse clusters are always stable, but carry little information (our choice).

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
    return Stability(values, agreement, n_clusters, float(values[stable.max()]))


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
