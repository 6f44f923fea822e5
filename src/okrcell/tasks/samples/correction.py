"""Harmony batch correction."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

WIDTH = 0.1
"""Width of the soft cluster assignment (sigma of Harmony)."""
DIVERSITY = 2.0
"""Strength of the diversity penalty (theta of Harmony)."""
ROUNDS = 6
ROUNDS_WITHIN = 10
BLOCKS = 20
RIDGE = 1.0
CELLS_A_CLUSTER = 30
MOST_CLUSTERS = 100


def corrected(
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
    members = np.eye(int(batch.max()) + 1)[batch] if len(batch) else np.zeros((0, 0))
    if members.shape[1] < 2:
        return points
    rng = np.random.default_rng(seed)
    clusters = int(np.clip(len(points) // CELLS_A_CLUSTER, 2, MOST_CLUSTERS))
    moved = points.astype(np.float64)
    for _ in range(ROUNDS):
        belongs = shared_clusters(moved, members, clusters, rng)
        moved = without_batch(points.astype(np.float64), members, belongs)
    return moved.astype(points.dtype)


def shared_clusters(
    points: Float[np.ndarray, "cell dim"],
    members: Float[np.ndarray, "cell batch"],
    clusters: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "cell cluster"]:
    """Return soft cluster assignments (rows sum to 1), penalised for clusters with uneven batches."""
    from sklearn.cluster import KMeans

    directions = _of_unit_length(points)
    begin: Any = KMeans(clusters, init="k-means++", n_init="auto", random_state=int(rng.integers(2**31)))
    centres = _of_unit_length(begin.fit(directions).cluster_centers_)
    share = members.mean(axis=0)
    belongs = _near(directions, centres)
    belongs /= belongs.sum(axis=1, keepdims=True)
    for _ in range(ROUNDS_WITHIN):
        centres = _of_unit_length(belongs.T @ directions)
        near = _near(directions, centres)
        seen, due = belongs.T @ members, np.outer(belongs.sum(axis=0), share)
        # Blocks of cells are updated in turn, so that not all cells move to a cluster that lacks their batch.
        for part in np.array_split(rng.permutation(len(points)), BLOCKS):
            seen -= belongs[part].T @ members[part]
            due -= np.outer(belongs[part].sum(axis=0), share)
            wanted = near[part] * (members[part] @ (((due + 1) / (seen + 1)) ** DIVERSITY).T)
            belongs[part] = wanted / np.maximum(wanted.sum(axis=1, keepdims=True), 1e-300)
            seen += belongs[part].T @ members[part]
            due += np.outer(belongs[part].sum(axis=0), share)
    return belongs


def without_batch(
    points: Float[np.ndarray, "cell dim"],
    members: Float[np.ndarray, "cell batch"],
    belongs: Float[np.ndarray, "cell cluster"],
) -> Float[np.ndarray, "cell dim"]:
    """Subtract the effect of each batch in each cluster, estimated by ridge regression."""
    moved = points.copy()
    design = np.hstack([np.ones((len(points), 1)), members])
    ridge = np.diag([1e-9, *np.full(members.shape[1], RIDGE)])
    for weight in belongs.T:
        weighted = design * weight[:, None]
        effect = np.linalg.solve(design.T @ weighted + ridge, weighted.T @ points)
        moved -= weighted[:, 1:] @ effect[1:]
    return moved


def _near(
    directions: Float[np.ndarray, "cell dim"], centres: Float[np.ndarray, "cluster dim"]
) -> Float[np.ndarray, "cell cluster"]:
    distance = 2 * (1 - directions @ centres.T) / WIDTH
    return np.exp(distance.min(axis=1, keepdims=True) - distance)


def _of_unit_length(points: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
