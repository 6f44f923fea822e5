"""The cells that are most like each cell."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

MOST_EXACT = 50_000
"""Up to so many cells all are compared with all. That takes ten seconds on one core; approximate search takes one, and missed
a tenth to a fifth of the neighbours of so many. The time grows with the square, so among more cells they are searched for."""


@dataclass(frozen=True)
class Nearest:
    """Other cells, the nearest first."""

    place: Int[np.ndarray, "cell other"]
    """Rows of the cells."""
    distance: Float[np.ndarray, "cell other"]
    """Euclidean."""


def nearest(points: Float[np.ndarray, "cell dim"], others: int, seed: int = 0) -> Nearest:
    """Find the ``others`` nearest to each cell, itself not counted.

    Exact up to 50,000 cells; with more by a graph that is refined (Dong et al. 2011, pynndescent), where ``seed`` has a say.

    Parameters
    ----------
    points
        Finite.
    others
        At least 1, and fewer than there are cells.
    """
    if len(points) > MOST_EXACT:
        return _searched(points, others, seed)
    from sklearn.neighbors import NearestNeighbors

    # Asked of the cells it was fitted on, without handing them in: no cell is then its own neighbour.
    distance, place = NearestNeighbors(n_neighbors=others, algorithm="brute").fit(points).kneighbors()
    return Nearest(place, distance)


def _searched(points: Float[np.ndarray, "cell dim"], others: int, seed: int) -> Nearest:
    from pynndescent import NNDescent

    # On one thread: with more the neighbours would depend on how many there are.
    search: Any = NNDescent(points, n_neighbors=others + 1, random_state=seed, n_jobs=1)
    place, distance = search.neighbor_graph
    dropped = place == np.arange(len(points))[:, None]
    # Among equal cells one may be found before itself, and itself not at all: then the farthest goes.
    dropped[~dropped.any(axis=1), -1] = True
    shape = (len(points), others)
    return Nearest(place[~dropped].reshape(shape), distance[~dropped].reshape(shape))
