"""Exact and approximate nearest-neighbour search."""

import numpy as np
import pytest

from okrcell.cells import neighbors as module
from okrcell.cells.neighbors import knn_search


@pytest.fixture(params=["compared with all", "searched for"])
def either_way(request, monkeypatch):
    """Exact and approximate search results."""
    if request.param == "searched for":
        monkeypatch.setattr(module, "MAX_EXACT", 100)


def test_both_ways_find_the_nearest_first(either_way):
    points = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    found = knn_search(points, 10)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_allclose(found.distances, np.sort(distance, axis=1)[:, :10], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(np.take_along_axis(distance, found.indices, axis=1), found.distances, rtol=1e-3)


def test_no_cell_is_its_own_neighbour_even_among_equal_ones(either_way):
    points = np.repeat(np.random.default_rng(0).normal(size=(20, 3)), 20, axis=0).astype(np.float32)
    found = knn_search(points, 5)
    assert found.indices.shape == (400, 5)
    assert (found.indices != np.arange(400)[:, None]).all()
    assert (found.indices // 20 == np.arange(400)[:, None] // 20).all()
