"""Clustering: joint representation of model and sample, Leiden with a stable resolution."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from okrcell.cells.expression import Expression
from okrcell.cells.samples.neighbours import neighbour_graph, smoothed
from okrcell.cells.samples.sample import COMPONENTS, sample_components
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.samples.stability import Stability, leiden, stability

DIMENSIONS = 20
ROUNDS = 3
RESOLUTIONS = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""0.1 to 2.0 in steps of 0.1, as in the paper."""


@dataclass(frozen=True)
class Clustering:
    """Cluster labels with the chosen resolution."""

    label: Int[np.ndarray, " cell"]
    """Cluster of each cell, 0 is the largest; -1 for a cell without expression."""
    resolution: float
    stability: Stability
    """Stability of the clusters at each resolution."""


def representation(
    expression: Expression, embedder: Embedder, *, seed: int = 0, progress: Progress | None = None
) -> Float[np.ndarray, "cell dim"]:
    """Embed cells and combine the vectors with the principal components of the sample (`joined`).

    Returns
    -------
    float32; NaN for a cell without expression.
    """
    return joined(embedder.embed_cells(expression, progress), sample_components(expression, COMPONENTS), seed=seed)


def joined(
    vectors: Float[np.ndarray, "cell dim"],
    components: Float[np.ndarray, "cell component"],
    *,
    dimensions: int = DIMENSIONS,
    seed: int = 0,
) -> Float[np.ndarray, "cell joined"]:
    """Combine model vectors and sample components with equal weight (ours).

    The noise of a cell's vector is independent of the noise of the sample's components. Each vector is therefore first
    averaged with those of the cell's nearest neighbours in the sample's components, which reduces the noise. Vectors and
    components are then scaled to a total variance of 1 and concatenated; the first principal components are returned.
    """
    known = ~np.isnan(vectors[:, 0]) & ~np.isnan(components[:, 0])
    shared = np.full((len(vectors), 1), np.nan, dtype=np.float32)
    if not known.any():
        return shared
    own = of_one_variance(components[known])
    told = smoothed(of_one_variance(vectors[known]), neighbour_graph(own, seed=seed), ROUNDS)
    found = leading(np.hstack([of_one_variance(told), own]), dimensions)
    shared = np.full((len(vectors), found.shape[1]), np.nan, dtype=np.float32)
    shared[known] = found
    return shared


def cluster(
    points: Float[np.ndarray, "cell dim"],
    *,
    resolutions: Sequence[float] = RESOLUTIONS,
    neighbours: int = 15,
    seed: int = 0,
) -> Clustering:
    """Cluster cells by Leiden on the kNN graph, at the resolution chosen by `resolution_stability`.

    Parameters
    ----------
    points
        Coordinates of the cells, such as `representation`; rows with NaN are left out.
    resolutions
        Resolutions to choose from, each above zero; a single resolution is used as it is.
    neighbours
        Number of nearest neighbours, the cell itself included.
    seed
        Random seed of the kNN search and of Leiden.
    """
    known = np.isfinite(points).all(axis=1)
    graph = neighbour_graph(points[known], neighbours, seed=seed)
    judged = stability(graph, resolutions, seed=seed)
    label = np.full(len(points), -1, dtype=np.int64)
    label[known] = leiden(graph, judged.chosen, seed)
    return Clustering(label, judged.chosen, judged)


def leading(values: Float[np.ndarray, "cell value"], n: int) -> Float[np.ndarray, "cell component"]:
    """Return the first ``n`` principal components, float32, at least one column."""
    from sklearn.decomposition import PCA

    n = min(n, len(values) - 1, values.shape[1])
    if n < 1:
        return np.zeros((len(values), 1), dtype=np.float32)
    return PCA(n, svd_solver="covariance_eigh").fit_transform(values).astype(np.float32)


def of_one_variance(values: Float[np.ndarray, "cell dim"]) -> Float[np.ndarray, "cell dim"]:
    """Centre, and scale all columns by one factor to a total variance of 1."""
    centred = values - values.mean(axis=0)
    total = np.sqrt(np.mean(np.sum(centred**2, axis=1)))
    return centred / total if total > 0 else centred
