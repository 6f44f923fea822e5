"""Integration of batches: per-batch standardisation and Harmony correction of sample components and model vectors."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from okrcell.cells.expression import Expression
from okrcell.cells.pca import sample_pca
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.clustering import N_COMPONENTS, joint_representation, principal_components, scale_total_variance
from okrcell.tasks.samples.correction import harmony
from okrcell.tasks.integration import (
    MIN_SHARED_FRACTION,
    batch_components,
    has_enough_cells,
    shared_cluster_weights,
)

N_DIMENSIONS = 15


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
