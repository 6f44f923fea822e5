"""Clustering of cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from okrcell.cells.neighbors import diffuse_over_knn, knn_graph
from okrcell.errors import InputError
from okrcell.tasks.clustering import (
    AGREEMENT_TOLERANCE,
    _most_persistent,
    cluster,
    joint_representation,
    leiden,
    resolution_stability,
)


def heaps(sizes=(60, 40, 30), dim=8, apart=8.0, seed=0):
    """Points around centres, and the index of each point's centre."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), dim)) * apart / np.sqrt(dim)
    which = np.repeat(np.arange(len(sizes)), sizes)
    return (centres[which] + rng.normal(size=(sum(sizes), dim)) * 0.5).astype(np.float32), which


def test_heaps_are_found_whatever_they_are_numbered():
    points, which = heaps()
    found = cluster(points, resolutions=[0.1, 0.3, 0.5])
    assert adjusted_rand_score(which, found.labels) == 1
    assert found.labels[0] == 0  # the largest is 0
    assert found.stability.agreement.max() == pytest.approx(1)


def test_groups_do_not_depend_on_the_order_of_rows():
    points, _ = heaps()
    order = np.random.default_rng(3).permutation(len(points))
    one, other = cluster(points, resolutions=[0.3]).labels, cluster(points[order], resolutions=[0.3]).labels
    assert adjusted_rand_score(one[order], other) == 1


def test_the_same_seed_gives_the_same_groups():
    points, _ = heaps(apart=2.0)
    np.testing.assert_array_equal(cluster(points, seed=4).labels, cluster(points, seed=4).labels)


def test_groups_are_split_where_two_cliques_meet():
    clique = np.ones((6, 6)) - np.eye(6)
    graph = sparse.block_diag([clique, clique]).tolil()
    graph[0, 6] = graph[6, 0] = 0.1
    assert (
        leiden(sparse.csr_matrix(graph), 1.0, 0).tolist() == [0] * 6 + [1] * 6
        or leiden(sparse.csr_matrix(graph), 1.0, 0).tolist() == [1] * 6 + [0] * 6
    )


def test_a_resolution_that_splits_heaps_at_random_is_not_chosen():
    points, which = heaps(sizes=(150, 150), apart=12)
    judged = resolution_stability(knn_graph(points), [0.1, 0.2, 1.0, 2.0])
    assert judged.n_clusters[judged.resolutions == judged.best_resolution] == len(set(which))
    assert judged.agreement[-1] < judged.agreement[0]


@pytest.mark.parametrize(
    ("n_clusters", "agreement", "best"),
    [
        ([2, 4, 4, 5, 9, 9, 9, 9, 12], [0.99, 0.98, 0.95, 0.9, 0.84, 0.85, 0.84, 0.84, 0.7], 5),
        ([2, 4, 4, 5, 9, 9, 9, 9, 12], [0.99, 0.98, 0.95, 0.9, 0.6, 0.6, 0.6, 0.6, 0.5], 1),
        ([2, 3, 4, 5], [0.9, 0.95, 0.9, 0.9], 1),
        ([4, 4, 9, 4], [0.9, 0.9, 0.3, 0.91], 0),
    ],
    ids=["a plateau of many clusters", "an unstable plateau", "no plateau", "an interrupted one"],
)
def test_the_most_persistent_number_of_clusters_is_chosen(n_clusters, agreement, best):
    agreement = np.array(agreement)
    stable = np.flatnonzero(agreement >= agreement.max() - AGREEMENT_TOLERANCE)
    assert _most_persistent(stable, np.array(n_clusters), agreement) == best


def test_a_row_without_numbers_is_in_no_group():
    points, which = heaps()
    points[5] = np.nan
    found = cluster(points, resolutions=[0.3])
    assert found.labels[5] == -1
    known = np.arange(len(points)) != 5
    assert adjusted_rand_score(which[known], found.labels[known]) == 1


@pytest.mark.parametrize("cells", [0, 1, 2, 3, 5, 12])
def test_any_number_of_cells_has_groups(cells):
    points = np.random.default_rng(0).normal(size=(cells, 3)).astype(np.float32)
    label = cluster(points).labels
    assert sorted(set(label)) == list(range(len(set(label))))


@pytest.mark.parametrize("resolutions", [[], [0.0], [-1.0], [np.nan], [0.5, np.inf]])
def test_resolutions_are_above_zero(resolutions):
    with pytest.raises(InputError, match="above zero"):
        cluster(heaps()[0], resolutions=resolutions)


def test_model_and_sample_have_an_equal_say():
    model_vectors, _ = heaps(seed=1)
    own = np.random.default_rng(2).normal(size=model_vectors.shape).astype(np.float32)
    np.testing.assert_allclose(
        joint_representation(model_vectors, own),
        joint_representation(model_vectors * 1000, own * 0.001),
        rtol=1e-3,
        atol=1e-3,
    )


def test_noise_of_a_vector_averages_out_among_neighbours():
    own, which = heaps(apart=10)
    rng = np.random.default_rng(0)
    noisy = (np.eye(3)[which] + rng.normal(size=(len(which), 3))).astype(np.float32)
    calm = diffuse_over_knn(noisy, knn_graph(own), 3)
    within = [np.var(values[which == heap], axis=0).mean() for values in (noisy, calm) for heap in range(3)]
    assert max(within[3:]) < 0.3 * min(within[:3])


def test_cells_without_expression_do_not_change_what_others_are_compared_by():
    model_vectors, _ = heaps(seed=1)
    own, _ = heaps(seed=2)
    alone = joint_representation(model_vectors, own)
    more = np.vstack([model_vectors, model_vectors[:1] * np.nan]), np.vstack([own, own[:1] * np.nan])
    both = joint_representation(*more)
    assert np.isnan(both[-1]).all()
    np.testing.assert_allclose(both[:-1], alone, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 30), st.integers(0, 5))
def test_smoothing_keeps_what_is_constant(cells, rounds):
    graph = sparse.csr_matrix(np.random.default_rng(cells).random((cells, cells)) > 0.6, dtype=np.float64)
    constant = np.full((cells, 2), 3.5)
    np.testing.assert_allclose(diffuse_over_knn(constant, graph, rounds), constant)
