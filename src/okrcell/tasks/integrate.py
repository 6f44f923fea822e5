"""Bring cells of several batches into one space where the batch no longer matters."""

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
    """Cells of several batches in one space."""

    vectors: Float[np.ndarray, "cell dim"]
    """float32, to be compared by Euclidean distance; NaN for a cell without expression."""
    batches: tuple[str, ...]
    shared: Float[np.ndarray, " batch"]
    """Share of each batch's cells that are of kinds the others have too, in [0, 1]."""
    apart: tuple[str, ...]
    """Batches that share hardly any kind of cell with the others, and were left where they are."""


def integrate(
    expression: Expression,
    embedder: Embedder,
    batch: Shaped[np.ndarray, " cell"],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Integrated:
    """Take the batch out of what cells are compared by, and keep what makes them differ in every batch.

    Parameters
    ----------
    batch
        Name of each cell's batch.

    Raises
    ------
    InputError
        If there is not one name for each cell.
    """
    return together(expression, embedder.embed_cells(expression, progress), batch, seed=seed)


def together(
    expression: Expression,
    vectors: Float[np.ndarray, "cell dim"],
    batch: Shaped[np.ndarray, " cell"],
    *,
    seed: int = 0,
) -> Integrated:
    """Integrate with a model's vectors that are already there (ours).

    Each gene is standardised within its batch, among the kinds of cells that batches share; then the sample's components
    and the model's vectors are moved together, cluster by cluster, as `corrected` tells; then both get an equal say, as
    `joined` tells. With one batch that is what cells are compared by without integration.

    Raises
    ------
    InputError
        If there is not one name of a batch for each cell.
    """
    if len(batch) != expression.n_cells:
        raise InputError(f"There are {expression.n_cells:,} cells, but {len(batch):,} batches. Name one for each cell.")
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
