"""Clustering: joint representation of model and sample, Leiden with a stable resolution."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from okrcell.cells.expression import Expression
from okrcell.cells.neighbors import diffuse_over_knn, knn_graph
from okrcell.cells.pca import N_COMPONENTS, sample_pca
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.samples.stability import Stability, leiden, resolution_stability

N_DIMENSIONS = 20
SMOOTHING_ROUNDS = 3
RESOLUTIONS = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""0.1 to 2.0 in steps of 0.1, as in the paper."""


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


def scale_total_variance(values: Float[np.ndarray, "cell dim"]) -> Float[np.ndarray, "cell dim"]:
    """Centre, and scale all columns by one factor to a total variance of 1."""
    centered = values - values.mean(axis=0)
    scale = np.sqrt(np.mean(np.sum(centered**2, axis=1)))
    return centered / scale if scale > 0 else centered
