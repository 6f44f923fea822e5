"""Leiden clustering and the choice of its resolution by stability."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from okrcell.errors import InputError

RUNS = 6
SHARE = 0.8
"""Fraction of the cells in each subsample."""
TOLERANCE = 0.05
LEIDEN_ROUNDS = 2


@dataclass(frozen=True)
class Stability:
    """Stability of clusters under subsampling of four fifths of the cells, per resolution."""

    resolution: Float[np.ndarray, " resolution"]
    agreement: Float[np.ndarray, " resolution"]
    """Mean adjusted Rand index between subsamples, on their common cells; 1 means identical clusters."""
    groups: Int[np.ndarray, " resolution"]
    """Number of clusters of all cells."""
    chosen: float


def stability(graph: sparse.csr_matrix, resolutions: Sequence[float], *, seed: int = 0) -> Stability:
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
    values = checked_resolutions(resolutions)
    groups = np.array([len(np.unique(leiden(graph, value, seed))) for value in values])
    cells = len(np.diff(graph.indptr))
    if len(values) == 1 or cells < 10:
        return Stability(values, np.full(len(values), np.nan), groups, float(values[np.argmin(abs(values - 1))]))
    rng = np.random.default_rng(seed)
    halves = [np.sort(rng.choice(cells, round(SHARE * cells), replace=False)) for _ in range(RUNS)]
    parts = [sparse.csr_matrix(graph[half][:, half]) for half in halves]
    agreement = np.array([_agreement(halves, parts, value, seed) for value in values])
    eligible = np.flatnonzero(groups > 1) if (groups > 1).any() else np.arange(len(values))
    good = eligible[agreement[eligible] >= agreement[eligible].max() - TOLERANCE]
    return Stability(values, agreement, groups, float(values[good.max()]))


def checked_resolutions(resolutions: Sequence[float]) -> Float[np.ndarray, " resolution"]:
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

    find: Any = graspologic_native
    cells = len(np.diff(graph.indptr))
    label = np.arange(cells)
    if graph.nnz > 0:
        starts, ends, weights = graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data
        _, found = find.leiden_csr(starts, ends, weights, cells, resolution, iterations=LEIDEN_ROUNDS, seed=seed)
        label = np.array([found[cell] for cell in range(cells)])
    _, group, size = np.unique(label, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
    return rank[group]


def _agreement(
    halves: list[Int[np.ndarray, " subsample"]], parts: list[sparse.csr_matrix], value: float, seed: int
) -> float:
    from sklearn.metrics import adjusted_rand_score

    cells = max(int(half[-1]) for half in halves) + 1
    runs: list[Int[np.ndarray, " cell"]] = []
    for number, (half, part) in enumerate(zip(halves, parts, strict=True)):
        labels = np.full(cells, -1)
        labels[half] = leiden(part, value, seed + number)
        runs.append(labels)
    both = [(one, other, (one >= 0) & (other >= 0)) for one, other in combinations(runs, 2)]
    return float(np.mean([adjusted_rand_score(one[shared], other[shared]) for one, other, shared in both]))
