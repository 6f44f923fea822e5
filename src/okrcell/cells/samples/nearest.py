"""k-nearest-neighbour search: exact for small samples, approximate for large ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

MAX_EXACT = 50_000
"""Largest number of cells for brute-force search. It takes ten seconds on one core for so many cells; approximate search
takes one second and missed 10 to 20 % of the neighbours. Brute-force time grows quadratically, so larger samples use
approximate search."""


@dataclass(frozen=True)
class Neighbors:
    """k nearest neighbours of each cell, nearest first."""

    indices: Int[np.ndarray, "cell other"]
    """Row numbers of the neighbours."""
    distances: Float[np.ndarray, "cell other"]
    """Euclidean distances."""


def knn_search(points: Float[np.ndarray, "cell dim"], n_neighbors: int, seed: int = 0) -> Neighbors:
    """Find the ``n_neighbors`` nearest neighbours of each cell, excluding the cell itself.

    Exact up to 50,000 cells, otherwise by nearest-neighbour descent (Dong et al. 2011, pynndescent).

    Parameters
    ----------
    points
        Finite coordinates, (cell, dim).
    n_neighbors
        Number of neighbours, at least 1 and less than the number of cells.
    seed
        Random seed of the approximate search; the exact search does not use it.
    """
    if len(points) > MAX_EXACT:
        return _approximate_knn(points, n_neighbors, seed)
    from sklearn.neighbors import NearestNeighbors

    # Without an argument, kneighbors() excludes each cell from its own neighbours.
    distances, indices = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(points).kneighbors()
    return Neighbors(indices, distances)


def _approximate_knn(points: Float[np.ndarray, "cell dim"], n_neighbors: int, seed: int) -> Neighbors:
    from pynndescent import NNDescent

    # One thread, because the result depends on the number of threads.
    search: Any = NNDescent(points, n_neighbors=n_neighbors + 1, random_state=seed, n_jobs=1)
    indices, distances = search.neighbor_graph
    is_dropped = indices == np.arange(len(points))[:, None]
    # A cell with duplicates may be absent from its own list; then the farthest neighbour is dropped.
    is_dropped[~is_dropped.any(axis=1), -1] = True
    shape = (len(points), n_neighbors)
    return Neighbors(indices[~is_dropped].reshape(shape), distances[~is_dropped].reshape(shape))
