"""Each cell in the company of the cells most like it."""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

NEAREST = 15
"""Neighbours of a cell."""
ROUNDS = 4
"""How often a cell takes after its neighbours."""
EXACT = 20_000
"""Up to so many cells neighbours are found exactly; with more, by a graph that is refined (Dong et al. 2011)."""


def company(features: Float[np.ndarray, "cell feature"], seed: int = 0) -> sparse.csr_matrix:
    """Return whom each cell keeps company with: weights (cell, cell), rows sum to 1, a lone cell keeps to itself.

    Weights fall with distance, on the scale of the cell's own farthest neighbour, and hold both ways.
    """
    cells = len(features)
    near = min(NEAREST, cells - 1)
    if near < 1:
        return sparse.csr_matrix(np.eye(cells, dtype=np.float32))
    distance, place = _nearest(features, near, seed)
    scale = np.maximum(distance[:, -1:], 1e-12)
    weight = np.exp(-((distance / scale) ** 2)).astype(np.float32)
    rows = np.repeat(np.arange(cells), near)
    one_way = sparse.csr_matrix((weight.ravel(), (rows, place.ravel())), shape=(cells, cells))
    both = sparse.csr_matrix(one_way.maximum(one_way.T))
    total = np.asarray(both.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(total, 1e-12)) @ both, dtype=np.float32)


def smoothed(
    values: Float[np.ndarray, "cell value"], near: sparse.csr_matrix, rounds: int = ROUNDS
) -> Float[np.ndarray, "cell value"]:
    """Let each cell take after its neighbours, half of it remaining itself in each round (method 11.5)."""
    for _ in range(rounds):
        values = (values + near @ values) / 2
    return values.astype(np.float32)


def foretold_by_company(values: Float[np.ndarray, "cell value"], near: sparse.csr_matrix) -> float:
    """Return the share of the variance of ``values`` that a cell's neighbours foretell, in [0, 1]."""
    all_of_it = float(((values - values.mean(axis=0)) ** 2).sum()) if len(values) else 0.0
    if all_of_it <= 0:
        return 0.0
    return float(np.clip(1 - ((values - near @ values) ** 2).sum() / all_of_it, 0, 1))


def _nearest(
    features: Float[np.ndarray, "cell feature"], near: int, seed: int
) -> tuple[Float[np.ndarray, "cell near"], np.ndarray]:
    if len(features) > EXACT:
        from pynndescent import NNDescent

        graph: Any = NNDescent(features, n_neighbors=near + 1, random_state=seed, n_jobs=1).neighbor_graph
        place, distance = graph
        return distance[:, 1:], place[:, 1:]
    from sklearn.neighbors import NearestNeighbors

    # Asked of the cells it was fitted on, without handing them in: no cell is then its own neighbour.
    distance, place = NearestNeighbors(n_neighbors=near).fit(features).kneighbors()
    return distance, place
