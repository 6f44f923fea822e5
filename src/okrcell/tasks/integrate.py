"""Integration of batches: per-batch standardisation and Harmony correction of sample components and model vectors."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from okrcell.cells.expression import Expression
from okrcell.cells.samples.sample import sample_components
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.cluster import COMPONENTS, joined, leading, of_one_variance
from okrcell.tasks.samples.correction import corrected
from okrcell.tasks.samples.integrate_sample import LEAST_SHARED, batch_components, large_enough, shared_kinds

DIMENSIONS = 15


@dataclass(frozen=True)
class Integrated:
    """Batch-corrected vectors of cells."""

    vectors: Float[np.ndarray, "cell dim"]
    """float32, for Euclidean distance; NaN for a cell without expression."""
    batches: tuple[str, ...]
    shared: Float[np.ndarray, " batch"]
    """Fraction of each batch's cells whose cluster is shared with other batches, in [0, 1]."""
    apart: tuple[str, ...]
    """Batches that share hardly any cluster with the others; they were not corrected."""


def integrate(
    expression: Expression,
    embedder: Embedder,
    batch: Shaped[np.ndarray, " cell"],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Integrated:
    """Embed cells and integrate their batches (`together`).

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
    return together(expression, embedder.embed_cells(expression, progress), batch, seed=seed)


def together(
    expression: Expression,
    vectors: Float[np.ndarray, "cell dim"],
    batch: Shaped[np.ndarray, " cell"],
    *,
    seed: int = 0,
) -> Integrated:
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
    names, number = np.unique(batch.astype(str), return_inverse=True)
    known = ~np.isnan(vectors[:, 0])
    if len(np.unique(number[known])) < 2:
        return Integrated(
            joined(vectors, sample_components(expression, COMPONENTS), seed=seed),
            tuple(names),
            np.zeros(len(names)),
            (),
        )
    weight, shared = shared_kinds(vectors, number, seed=seed)
    meets = shared >= LEAST_SHARED
    own = batch_components(expression, number, weight, meets & large_enough(number, known), COMPONENTS)
    known &= ~np.isnan(own[:, 0])
    told = np.full((len(vectors), min(COMPONENTS, vectors.shape[1], max(int(known.sum()) - 1, 1))), np.nan, np.float32)
    told[known] = leading(vectors[known], COMPONENTS)
    moved = known & meets[number]
    both = np.hstack([of_one_variance(told[known]), of_one_variance(own[known])])
    _, of_moved = np.unique(number[moved], return_inverse=True)
    both[moved[known]] = corrected(both[moved[known]], of_moved, seed=seed)
    told[known], own[known] = both[:, : told.shape[1]], both[:, told.shape[1] :]
    apart = tuple(name for name, meeting in zip(names, meets, strict=True) if not meeting)
    return Integrated(joined(told, own, dimensions=DIMENSIONS, seed=seed), tuple(names), shared, apart)
