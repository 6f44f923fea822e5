"""kNN graph and smoothing over neighbours."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from okrcell.cells.neighbors import knn_graph, similar_neighbors, smooth_over_knn


def random_graph(cells, seed=0):
    """kNN graph of cells at random positions; the last two have no neighbours."""
    points = np.random.default_rng(seed).normal(size=(cells - 2, 3))
    graph = knn_graph(points, 6)
    return sparse.csr_matrix(sparse.block_diag([graph, sparse.csr_matrix((2, 2))]))


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), rounds=st.integers(0, 5))
@settings(deadline=None, max_examples=30)
def test_it_is_the_equation_of_the_method_page(seed, share, rounds):
    graph = random_graph(40, seed)
    values = np.random.default_rng(seed).normal(size=(40, 4))
    dense = graph.toarray()
    dense[[38, 39], [38, 39]] = 1
    dense /= dense.sum(axis=1, keepdims=True)
    expected = values
    for _ in range(rounds):
        expected = (1 - share) * values + share * dense @ expected
    found = smooth_over_knn(values, graph, weight=share, rounds=rounds)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.min() >= values.min() - 1e-9
    assert found.max() <= values.max() + 1e-9


def test_a_cell_without_neighbours_stays_and_equal_cells_stay_equal():
    graph, values = random_graph(30), np.random.default_rng(0).normal(size=(30, 2))
    np.testing.assert_allclose(smooth_over_knn(values, graph)[[28, 29]], values[[28, 29]])
    np.testing.assert_allclose(smooth_over_knn(np.ones((30, 2)), graph), 1)


def test_the_values_that_were_given_are_left_alone():
    graph, values = random_graph(30), np.random.default_rng(0).normal(size=(30, 2))
    before = values.copy()
    assert smooth_over_knn(values, graph, rounds=0) is values
    smooth_over_knn(values, graph)
    np.testing.assert_array_equal(values, before)


def test_the_order_of_cells_does_not_matter():
    graph, values = random_graph(30), np.random.default_rng(0).normal(size=(30, 2))
    order = np.random.default_rng(1).permutation(30)
    turned = smooth_over_knn(values[order], sparse.csr_matrix(graph[order][:, order]))
    np.testing.assert_allclose(turned, smooth_over_knn(values, graph)[order])


def test_a_cell_alone_in_its_file_has_a_graph_without_edges():
    graph = knn_graph(np.zeros((1, 3), dtype=np.float32))
    np.testing.assert_array_equal(smooth_over_knn(np.ones((1, 2)), graph), np.ones((1, 2)))


def test_by_default_half_of_the_weight_is_the_neighbours_and_there_are_three_rounds():
    # A chain of three cells; the values are those of the equation, by hand.
    chain = sparse.csr_matrix(np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    values = np.array([[1.0], [0], [0]])
    np.testing.assert_allclose(smooth_over_knn(values, chain).ravel(), [9 / 16, 3 / 16, 1 / 16])
    np.testing.assert_allclose(smooth_over_knn(values, chain, weight=0.7).ravel(), [0.3735, 0.2765, 0.0735], atol=1e-9)


def test_neighbours_with_other_values_have_no_say_and_similar_ones_keep_theirs():
    graph = sparse.csr_matrix(np.ones((6, 6)) - np.eye(6))
    values = np.array([[0.0, 0], [0.1, 0], [0, 0.1], [30, 30], [30.1, 30], [0, 0.05]])
    similar = similar_neighbors(values, graph)
    np.testing.assert_allclose(similar.sum(axis=1), 1)
    dense = similar.toarray()
    assert dense[0, [3, 4]].max() < 1e-6
    assert dense[0, [1, 2, 5]].min() > 0.19
    # What the others lose is the cell's own.
    assert abs(dense[0, 0] - 0.4) < 0.01
    smoothed = smooth_over_knn(values, similar, weight=0.7)
    np.testing.assert_allclose(smoothed[3:5], values[3:5], atol=0.1)
    wide = similar_neighbors(values, graph, bandwidth=1e6).toarray()
    np.testing.assert_allclose(wide, graph.toarray() / 5, atol=1e-6)
