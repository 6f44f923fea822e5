"""Harmony batch correction."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

SIGMA = 0.1
"""Width of the soft cluster assignment (sigma of Harmony)."""
THETA = 2.0
"""Strength of the diversity penalty (theta of Harmony)."""
HARMONY_ITERATIONS = 6
CLUSTER_ITERATIONS = 10
N_BLOCKS = 20
RIDGE_PENALTY = 1.0
CELLS_PER_CLUSTER = 30
MAX_CLUSTERS = 100


def harmony(
    points: Float[np.ndarray, "cell dim"], batch: Int[np.ndarray, " cell"], *, seed: int = 0
) -> Float[np.ndarray, "cell dim"]:
    """Correct batch effects by Harmony (Korsunsky et al. 2019; reimplemented from the paper).

    Two steps alternate: soft clustering with a penalty for clusters that lack batches (their equations 4 to 8), and ridge
    regression of the batch within each cluster, whose effect is subtracted (equations 9 to 12). Cells of a cluster with one
    batch only are not changed.

    Parameters
    ----------
    points
        Finite coordinates. Cells are clustered by cosine similarity and corrected in all dimensions.
    batch
        Batch index of each cell, from 0. With one batch the points are returned unchanged.
    seed
        Random seed of clustering.
    """
    batch_onehot = np.eye(int(batch.max()) + 1)[batch] if len(batch) else np.zeros((0, 0))
    if batch_onehot.shape[1] < 2:
        return points
    rng = np.random.default_rng(seed)
    n_clusters = int(np.clip(len(points) // CELLS_PER_CLUSTER, 2, MAX_CLUSTERS))
    corrected = points.astype(np.float64)
    for _ in range(HARMONY_ITERATIONS):
        assignment = soft_clusters(corrected, batch_onehot, n_clusters, rng)
        corrected = remove_batch_effect(points.astype(np.float64), batch_onehot, assignment)
    return corrected.astype(points.dtype)


def soft_clusters(
    points: Float[np.ndarray, "cell dim"],
    batch_onehot: Float[np.ndarray, "cell batch"],
    n_clusters: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "cell cluster"]:
    """Return soft cluster assignments (rows sum to 1), penalised for clusters with uneven batches."""
    from sklearn.cluster import KMeans

    unit_points = _unit_norm(points)
    kmeans: Any = KMeans(n_clusters, init="k-means++", n_init="auto", random_state=int(rng.integers(2**31)))
    centers = _unit_norm(kmeans.fit(unit_points).cluster_centers_)
    batch_fractions = batch_onehot.mean(axis=0)
    assignment = _proximity(unit_points, centers)
    assignment /= assignment.sum(axis=1, keepdims=True)
    for _ in range(CLUSTER_ITERATIONS):
        centers = _unit_norm(assignment.T @ unit_points)
        proximity = _proximity(unit_points, centers)
        observed, expected = assignment.T @ batch_onehot, np.outer(assignment.sum(axis=0), batch_fractions)
        # Blocks of cells are updated in turn, so that not all cells move to a cluster that lacks their batch.
        for block in np.array_split(rng.permutation(len(points)), N_BLOCKS):
            observed -= assignment[block].T @ batch_onehot[block]
            expected -= np.outer(assignment[block].sum(axis=0), batch_fractions)
            updated = proximity[block] * (batch_onehot[block] @ (((expected + 1) / (observed + 1)) ** THETA).T)
            assignment[block] = updated / np.maximum(updated.sum(axis=1, keepdims=True), 1e-300)
            observed += assignment[block].T @ batch_onehot[block]
            expected += np.outer(assignment[block].sum(axis=0), batch_fractions)
    return assignment


def remove_batch_effect(
    points: Float[np.ndarray, "cell dim"],
    batch_onehot: Float[np.ndarray, "cell batch"],
    assignment: Float[np.ndarray, "cell cluster"],
) -> Float[np.ndarray, "cell dim"]:
    """Subtract the effect of each batch in each cluster, estimated by ridge regression."""
    corrected = points.copy()
    design = np.hstack([np.ones((len(points), 1)), batch_onehot])
    ridge = np.diag([1e-9, *np.full(batch_onehot.shape[1], RIDGE_PENALTY)])
    for weight in assignment.T:
        weighted_design = design * weight[:, None]
        effect = np.linalg.solve(design.T @ weighted_design + ridge, weighted_design.T @ points)
        corrected -= weighted_design[:, 1:] @ effect[1:]
    return corrected


def _proximity(
    unit_points: Float[np.ndarray, "cell dim"], centers: Float[np.ndarray, "cluster dim"]
) -> Float[np.ndarray, "cell cluster"]:
    distance = 2 * (1 - unit_points @ centers.T) / SIGMA
    return np.exp(distance.min(axis=1, keepdims=True) - distance)


def _unit_norm(points: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
