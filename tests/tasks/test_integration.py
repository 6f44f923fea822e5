"""Batch integration."""

import anndata as ad
import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from okrcell.cells.expression import read_expression
from okrcell.cells.pca import sample_pca
from okrcell.errors import InputError
from okrcell.tasks.clustering import joint_representation
from okrcell.tasks.integration import (
    harmony,
    integrate_vectors,
    remove_batch_effect,
    shared_cluster_weights,
    soft_clusters,
)

KINDS = ("B cell", "CD14-positive monocyte", "natural killer cell")


@pytest.fixture(scope="module")
def cells(blood):
    """Cells of three well separated types."""
    return blood[blood.obs["cell_type"].isin(KINDS)].copy()


@pytest.fixture(scope="module")
def model_vectors(cells):
    """Noisy model vectors of the three types."""
    which = np.searchsorted(KINDS, cells.obs["cell_type"].to_numpy(dtype=str), sorter=np.argsort(KINDS))
    noise = np.random.default_rng(0).normal(size=(cells.n_obs, 12)) * 0.15
    vectors = np.eye(12)[which] + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def other_technology(cells, seed=0):
    """The same cells with a random efficiency per gene."""
    changed = cells.copy()
    changed.X = changed.X.multiply(np.random.default_rng(seed).uniform(0.2, 1, cells.n_vars)[None]).tocsr()
    return changed


def mixing(points, batch):
    """Mean fraction of a cell's ten neighbours that are of another batch."""
    near = np.argsort(pairwise_distances(points) + np.diag(np.full(len(points), np.inf)), axis=1)[:, :10]
    return float((batch[near] != batch[:, None]).mean())


def test_a_batch_that_is_a_copy_by_another_technology_comes_together(cells, model_vectors):
    both = ad.concat([cells, other_technology(cells)], index_unique="-", merge="same")
    vectors = np.vstack([model_vectors, model_vectors])
    batch = np.repeat(["one", "other"], cells.n_obs)
    expression = read_expression(both)
    apart = mixing(joint_representation(vectors, sample_pca(expression, 30)), batch)
    found = integrate_vectors(expression, vectors, batch)
    assert found.uncorrected == ()
    assert mixing(found.vectors, batch) > max(0.4, apart)
    kind = np.tile(cells.obs["cell_type"].to_numpy(dtype=str), 2)
    assert mixing(found.vectors, kind) < 0.1


def test_two_batches_without_a_common_type_stay_apart(cells, model_vectors):
    kind = cells.obs["cell_type"].to_numpy(dtype=str)
    batch = np.where(kind == KINDS[1], "monocytes", "lymphocytes")
    found = integrate_vectors(read_expression(cells), model_vectors, batch)
    assert found.uncorrected == ("lymphocytes", "monocytes")
    assert mixing(found.vectors, batch) < 0.03


def test_with_one_batch_cells_are_compared_by_what_they_were(cells, model_vectors):
    expression = read_expression(cells)
    found = integrate_vectors(expression, model_vectors, np.full(cells.n_obs, "only"))
    np.testing.assert_array_equal(found.vectors, joint_representation(model_vectors, sample_pca(expression, 30)))
    assert found.batches == ("only",)


def test_nothing_depends_on_the_order_of_rows(cells, model_vectors):
    order = np.random.default_rng(5).permutation(cells.n_obs)
    batch = np.where(np.arange(cells.n_obs) % 3 == 0, "one", "other")
    first = integrate_vectors(read_expression(cells), model_vectors, batch).vectors
    second = integrate_vectors(read_expression(cells[order].copy()), model_vectors[order], batch[order]).vectors
    one, other = pairwise_distances(first[order]), pairwise_distances(second)
    # Clusters are initialised at sampled cells, so values differ in the last bits, but neighbours do not.
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.98


def test_the_same_seed_gives_the_same_numbers(cells, model_vectors):
    batch = np.where(np.arange(cells.n_obs) % 2, "one", "other")
    runs = [integrate_vectors(read_expression(cells), model_vectors, batch, seed=3).vectors for _ in range(2)]
    np.testing.assert_array_equal(*runs)


def test_a_cell_without_expression_spoils_nobody(cells, model_vectors):
    batch = np.where(np.arange(cells.n_obs) % 2, "one", "other")
    adata, vectors = cells.copy(), model_vectors.copy()
    filled = adata.X.tolil()
    filled[7] = 0
    adata.X, vectors[7] = filled.tocsr(), np.nan
    found = integrate_vectors(read_expression(adata), vectors, batch).vectors
    rest = np.arange(cells.n_obs) != 7
    assert np.isnan(found[7]).all()
    assert np.isfinite(found[rest]).all()


@pytest.mark.parametrize("size", [1, 2, 3, 6, 25])
def test_any_number_of_cells_in_two_batches_works(cells, model_vectors, size):
    batch = np.where(np.arange(size) % 2, "one", "other")
    assert np.isfinite(
        integrate_vectors(read_expression(cells[:size].copy()), model_vectors[:size], batch).vectors
    ).all()


def test_a_batch_of_one_cell_works(cells, model_vectors):
    batch = np.full(cells.n_obs, "many")
    batch[0] = "lonely"
    assert np.isfinite(integrate_vectors(read_expression(cells), model_vectors, batch).vectors).all()


def test_each_cell_needs_a_batch(cells, model_vectors):
    with pytest.raises(InputError, match="2 batches"):
        integrate_vectors(read_expression(cells), model_vectors, np.array(["one", "other"]))


def test_kinds_that_one_batch_has_alone_have_no_weight():
    kind = np.repeat([0, 1, 2], 40)
    vectors = (np.eye(3)[kind] + np.random.default_rng(0).normal(size=(120, 3)) * 0.01).astype(np.float32)
    batch = np.where(kind == 2, 1, np.arange(120) % 2)
    batch[kind == 0] = 0
    weight, shared = shared_cluster_weights(vectors, batch)
    assert (weight[kind != 1] == 0).all()
    assert (weight[kind == 1] > 0).all()
    # A third of each batch is of the shared type; k-means may split it where the batches differ by chance.
    assert ((shared > 0.15) & (shared < 0.35)).all()


def test_a_shift_of_a_batch_within_a_cluster_is_taken_off():
    rng = np.random.default_rng(0)
    points, batch = rng.normal(size=(400, 2)), np.arange(400) % 2
    points[batch == 1] += [3, -1]
    moved = remove_batch_effect(points, np.eye(2)[batch], np.ones((400, 1)))
    np.testing.assert_allclose(moved[batch == 0].mean(axis=0), moved[batch == 1].mean(axis=0), atol=0.05)


def test_memberships_sum_to_one_and_share_out_the_batches(monkeypatch):
    points, batch = np.random.default_rng(0).normal(size=(300, 4)), np.arange(300) % 2
    points[batch == 1, 0] += 1.5

    def unevenness():
        belongs = soft_clusters(points, np.eye(2)[batch], 6, np.random.default_rng(1))
        np.testing.assert_allclose(belongs.sum(axis=1), 1)
        share = (belongs.T @ np.eye(2)[batch]) / belongs.sum(axis=0)[:, None]
        return np.abs(share - 0.5).mean()

    drawn = unevenness()
    monkeypatch.setattr("okrcell.tasks.integration.THETA", 0.0)
    assert drawn < 0.8 * unevenness()


def test_one_batch_is_not_moved():
    points = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_array_equal(harmony(points, np.zeros(50, dtype=int)), points)
