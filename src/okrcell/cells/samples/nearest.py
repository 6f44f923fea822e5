"""k-nearest-neighbour search: exact for small samples, approximate for large ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

MOST_EXACT = 50_000
"""Largest number of cells for brute-force search. It takes ten seconds on one core for so many cells; approximate search
takes one second and missed 10 to 20 % of the neighbours. Brute-force time grows quadratically, so larger samples use
approximate search."""


@dataclass(frozen=True)
class Nearest:
    """k nearest neighbours of each cell, nearest first."""

    place: Int[np.ndarray, "cell other"]
    """Row numbers of the neighbours."""
    distance: Float[np.ndarray, "cell other"]
    """Euclidean distances."""


def nearest(points: Float[np.ndarray, "cell dim"], others: int, seed: int = 0) -> Nearest:
    """Find the ``others`` nearest neighbours of each cell, excluding the cell itself.

    Exact up to 50,000 cells, otherwise by nearest-neighbour descent (Dong et al. 2011, pynndescent).

    Parameters
    ----------
    points
        Finite coordinates, (cell, dim).
    others
        Number of neighbours, at least 1 and less than the number of cells.
    seed
        Random seed of the approximate search; the exact search does not use it.
    """
    if len(points) > MOST_EXACT:
        return _searched(points, others, seed)
    from sklearn.neighbors import NearestNeighbors

    # Without an argument, kneighbors() excludes each cell from its own neighbours.
    distance, place = NearestNeighbors(n_neighbors=others, algorithm="brute").fit(points).kneighbors()
    return Nearest(place, distance)


def _searched(points: Float[np.ndarray, "cell dim"], others: int, seed: int) -> Nearest:
    from pynndescent import NNDescent

    # One thread, because the result depends on the number of threads.
    search: Any = NNDescent(points, n_neighbors=others + 1, random_state=seed, n_jobs=1)
    place, distance = search.neighbor_graph
    dropped = place == np.arange(len(points))[:, None]
    # A cell with duplicates may be absent from its own list; then the farthest neighbour is dropped.
    dropped[~dropped.any(axis=1), -1] = True
    shape = (len(points), others)
    return Nearest(place[~dropped].reshape(shape), distance[~dropped].reshape(shape))
