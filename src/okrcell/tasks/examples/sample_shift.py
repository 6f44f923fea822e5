"""How far one sample lies from another, cell types being equal."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import softmax

from okrcell.tasks.examples.head import fit_head

ROUNDS = 4
"""The shift has settled by then."""
FEWEST = 5
"""A type that fewer cells of the query are likely to be has no say."""
FEW_CELLS = 30
"""As if that many cells of the query had no shift: a handful would be moved onto whatever it is taken for."""


def without_shift(
    features: Float[np.ndarray, "cell feature"],
    given: NDArray[np.intp],
    query: NDArray[np.bool_],
    start: Float[np.ndarray, "cell name"],
) -> Float[np.ndarray, "cell feature"]:
    """Move the query onto the reference by what sets all its types apart alike.

    Ours. Standardising each sample by itself would take a sample of other cell types for one of other technology. So each
    type is compared with itself, and the query is moved by the median of these differences: what moves most types is
    technology, what moves one of them may be a type that the reference lacks. Types and shift are found in turn.

    Parameters
    ----------
    given
        Number of the name of each cell of the reference, in their order.
    query
        Which rows are of the query; the others are the reference's.
    start
        What the head starts from, for all rows.
    """
    if not query.any() or query.all():
        return features
    reference = ~query
    mean, _ = _means(np.eye(start.shape[1], dtype=np.float32)[given], features[reference])
    moved = features.copy()
    for _ in range(ROUNDS):
        head = fit_head(moved[reference], given, start[reference])
        probability = softmax(head.logits(moved[query], start[query]), axis=1)
        likely = np.where(probability > 0.5, probability, 0)
        found, cells = _means(likely, features[query])
        heard = cells >= FEWEST
        if not heard.any():
            return features
        say = cells.sum() / (cells.sum() + FEW_CELLS)
        moved[query] = features[query] - say * np.median((found - mean)[heard], axis=0)
    return moved.astype(np.float32)


def _means(
    members: Float[np.ndarray, "cell name"], features: Float[np.ndarray, "cell feature"]
) -> tuple[Float[np.ndarray, "name feature"], Float[np.ndarray, "name"]]:
    """Return the mean cell of each name, and how many cells it has."""
    cells = members.sum(axis=0)
    return members.T @ features / np.maximum(cells, 1e-6)[:, None], cells
