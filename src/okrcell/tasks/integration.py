"""Principal components of genes standardised within batches, weighted by shared clusters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.pca import MAX_Z, MIN_BATCH_CELLS, N_COMPONENTS, highly_variable_genes, sample_pca
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.clustering import joint_representation, principal_components
from okrcell.tasks.features import scale_total_variance

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


N_SHARED_CLUSTERS = 12
MIN_SHARED_FRACTION = 0.1
"""Minimum fraction of a batch's cells in clusters shared with other batches; otherwise the batch is not corrected."""
CHUNK_SIZE = 4096
N_INIT = 3
MeanStd = tuple[Float[np.ndarray, " gene"], Float[np.ndarray, " gene"]]
N_DIMENSIONS = 15


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


def batch_components(
    expression: Expression,
    batch: Int[np.ndarray, " cell"],
    weight: Float[np.ndarray, " cell"],
    uses_own: Bool[np.ndarray, " batch"],
    n_components: int,
    *,
    n_top_genes: int = 2000,
) -> Float[np.ndarray, "cell component"]:
    """Return principal components of genes standardised within each batch, weighted by shared clusters.

    Standardising by the mean and standard deviation within the batch removes differences in how well a technology measures
    a gene. With equal weights it would also remove differences in composition, such as more B cells in one batch; cells are
    therefore weighted by `shared_cluster_weights` (the weighting is ours, standardising per batch is common).

    Parameters
    ----------
    expression
        Expression of the cells.
    batch
        Batch index of each cell, from 0.
    weight
        Weight of each cell from `shared_cluster_weights`.
    uses_own
        True for batches standardised by their own mean and standard deviation; the others use those of all cells.
    n_components
        Maximum number of components.
    n_top_genes
        Maximum number of highly variable genes.

    Returns
    -------
    float32; NaN for a cell without expression. Memory holds the sparse variable genes of all cells.
    """
    variable = highly_variable_genes(expression, n_top_genes, batch=batch)
    rows = variable.nonempty_cells
    if len(rows) < 2 or len(variable.gene) == 0:
        fallback = np.full((expression.n_cells, 1), np.nan, dtype=np.float32)
        fallback[rows] = 0
        return fallback
    overall = _mean_std(variable.log_expr[rows], np.ones(len(rows)))
    scales = [overall] * len(uses_own)
    for batch_id in np.flatnonzero(uses_own):
        batch_rows = rows[batch[rows] == batch_id]
        if weight[batch_rows].sum() > 0:
            scales[batch_id] = _mean_std(variable.log_expr[batch_rows], weight[batch_rows])
    # In blocks of rows, so that the matrix is never dense as a whole; the (gene, gene) products are small.
    chunks = [rows[start : start + CHUNK_SIZE] for start in range(0, len(rows), CHUNK_SIZE)]
    gram, total = np.zeros((len(variable.gene),) * 2), np.zeros(len(variable.gene))
    for chunk in chunks:
        z = _standardize(variable.log_expr[chunk], batch[chunk], scales)
        gram += z.T @ z
        total += z.sum(axis=0)
    mean = total / len(rows)
    n_components = min(n_components, len(rows) - 1, len(variable.gene))
    axes = np.linalg.eigh(gram / len(rows) - np.outer(mean, mean))[1][:, ::-1][:, :n_components]
    # The sign of an axis is arbitrary; the largest loading is made positive for reproducibility.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_components)])
    components = np.full((expression.n_cells, n_components), np.nan, dtype=np.float32)
    for chunk in chunks:
        components[chunk] = (_standardize(variable.log_expr[chunk], batch[chunk], scales) - mean) @ axes
    return components


def shared_cluster_weights(
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

    measured_rows = np.flatnonzero(~np.isnan(vectors[:, 0]))
    n_batches = int(batch.max(initial=0)) + 1
    weight, shared = np.zeros(len(vectors)), np.zeros(n_batches)
    if len(measured_rows) == 0:
        return weight, shared
    kmeans: Any = KMeans(min(N_SHARED_CLUSTERS, len(measured_rows)), random_state=seed)
    kmeans.n_init = N_INIT
    cluster = kmeans.fit_predict(vectors[measured_rows])
    count = np.zeros((n_batches, cluster.max() + 1))
    np.add.at(count, (batch[measured_rows], cluster), 1)
    for batch_id in range(n_batches):
        own_counts, other_counts = count[batch_id], count.sum(axis=0) - count[batch_id]
        if own_counts.sum() == 0 or other_counts.sum() == 0:
            continue
        common = np.minimum(own_counts / own_counts.sum(), other_counts / other_counts.sum())
        shared[batch_id] = common.sum()
        in_batch = batch[measured_rows] == batch_id
        weight[measured_rows[in_batch]] = (common / np.maximum(own_counts, 1))[cluster[in_batch]]
    return weight, shared


def has_enough_cells(
    batch: Int[np.ndarray, " cell"], has_expression: Bool[np.ndarray, " cell"]
) -> Bool[np.ndarray, " batch"]:
    """True for batches with enough cells to estimate a mean and a standard deviation."""
    return np.bincount(batch[has_expression], minlength=int(batch.max(initial=0)) + 1) >= MIN_BATCH_CELLS


def _mean_std(log_expr: sparse.csr_matrix, weight: Float[np.ndarray, " cell"]) -> MeanStd:
    normalized_weight = weight / weight.sum()
    mean = np.asarray(normalized_weight @ log_expr).ravel()
    std = np.sqrt(np.maximum(np.asarray(normalized_weight @ log_expr.multiply(log_expr).tocsr()).ravel() - mean**2, 0))
    return mean, np.where(std > 1e-6, std, 1.0)


def _standardize(
    log_expr: sparse.csr_matrix, batch: Int[np.ndarray, " cell"], scales: list[MeanStd]
) -> Float[np.ndarray, "cell gene"]:
    z = np.asarray(log_expr.toarray(), dtype=np.float64)
    for batch_id in np.unique(batch):
        mean, std = scales[batch_id]
        in_batch = batch == batch_id
        z[in_batch] = (z[in_batch] - mean) / std
    return np.clip(z, -MAX_Z, MAX_Z)


@dataclass(frozen=True)
class Integration:
    """Batch-corrected vectors of cells."""

    vectors: Float[np.ndarray, "cell dim"]
    """float32, for Euclidean distance; NaN for a cell without expression."""
    batches: tuple[str, ...]
    shared_fraction: Float[np.ndarray, " batch"]
    """Fraction of each batch's cells whose cluster is shared with other batches, in [0, 1]."""
    uncorrected: tuple[str, ...]
    """Batches that share hardly any cluster with the others; they were not corrected."""


def integrate(
    expression: Expression,
    embedder: Embedder,
    batch: Shaped[np.ndarray, " cell"],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Integration:
    """Embed cells and integrate their batches (`integrate_vectors`).

    Parameters
    ----------
    expression
        Expression of the cells.
    embedder
        Model that embeds the cells.
    batch
        Batch name of each cell.
    seed
        Random seed of clustering and smoothing.
    progress
        Called with the number of embedded cells and their total.

    Raises
    ------
    InputError
        If there is not one batch name per cell.
    """
    return integrate_vectors(expression, embedder.embed_cells(expression, progress), batch, seed=seed)


def integrate_vectors(
    expression: Expression,
    vectors: Float[np.ndarray, "cell dim"],
    batch: Shaped[np.ndarray, " cell"],
    *,
    seed: int = 0,
) -> Integration:
    """Integrate batches with precomputed model vectors (ours).

    Each gene is standardised within its batch, weighted by the clusters that batches share. The components of the sample
    and the model vectors are corrected together, cluster by cluster (`harmony`), and combined with equal weight
    (`joint_representation`). With one batch the result is the representation without integration.

    Parameters
    ----------
    expression
        Expression of the cells.
    vectors
        Unit vectors of the cells from the model, NaN for a cell without expression.
    batch
        Batch name of each cell.
    seed
        Random seed of clustering and smoothing.

    Raises
    ------
    InputError
        If there is not one batch name per cell.
    """
    if len(batch) != expression.n_cells:
        raise InputError(
            f"There are {expression.n_cells:,} cells, but {len(batch):,} batches. Pass one batch per cell."
        )
    batch_names, batch_idx = np.unique(batch.astype(str), return_inverse=True)
    has_expression = ~np.isnan(vectors[:, 0])
    if len(np.unique(batch_idx[has_expression])) < 2:
        return Integration(
            joint_representation(vectors, sample_pca(expression, N_COMPONENTS), seed=seed),
            tuple(batch_names),
            np.zeros(len(batch_names)),
            (),
        )
    weight, shared_fraction = shared_cluster_weights(vectors, batch_idx, seed=seed)
    is_shared = shared_fraction >= MIN_SHARED_FRACTION
    components = batch_components(
        expression, batch_idx, weight, is_shared & has_enough_cells(batch_idx, has_expression), N_COMPONENTS
    )
    has_expression &= ~np.isnan(components[:, 0])
    vector_components = np.full(
        (len(vectors), min(N_COMPONENTS, vectors.shape[1], max(int(has_expression.sum()) - 1, 1))), np.nan, np.float32
    )
    vector_components[has_expression] = principal_components(vectors[has_expression], N_COMPONENTS)
    is_corrected = has_expression & is_shared[batch_idx]
    combined = np.hstack(
        [scale_total_variance(vector_components[has_expression]), scale_total_variance(components[has_expression])]
    )
    _, corrected_batch = np.unique(batch_idx[is_corrected], return_inverse=True)
    combined[is_corrected[has_expression]] = harmony(combined[is_corrected[has_expression]], corrected_batch, seed=seed)
    vector_components[has_expression], components[has_expression] = (
        combined[:, : vector_components.shape[1]],
        combined[:, vector_components.shape[1] :],
    )
    uncorrected = tuple(
        name for name, batch_is_shared in zip(batch_names, is_shared, strict=True) if not batch_is_shared
    )
    return Integration(
        joint_representation(vector_components, components, n_dimensions=N_DIMENSIONS, seed=seed),
        tuple(batch_names),
        shared_fraction,
        uncorrected,
    )
