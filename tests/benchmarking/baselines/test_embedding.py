"""Baselines that give cells vectors are what their packages give by hand."""

import numpy as np
import pytest

from okrcell.benchmarking.baselines.batch_correction import embed_harmony, embed_scanorama
from okrcell.benchmarking.baselines.classical import embed_hvg_pca

METHODS = {"hvg_pca": embed_hvg_pca, "harmony": embed_harmony, "scanorama": embed_scanorama}
PACKAGES = {"hvg_pca": "scanpy", "harmony": "harmonypy", "scanorama": "scanorama"}


@pytest.fixture(params=METHODS)
def embed(request):
    pytest.importorskip(
        PACKAGES[request.param], reason=f"{PACKAGES[request.param]} is not installed (extra: baselines)"
    )
    return METHODS[request.param]


def test_every_cell_has_a_vector_in_its_own_row(embed, two_batches):
    vectors = embed(two_batches, "batch", 0)
    assert vectors.shape[0] == two_batches.n_obs
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_one_seed_gives_the_same_numbers(embed, two_batches):
    np.testing.assert_array_equal(embed(two_batches, "batch", 1), embed(two_batches, "batch", 1))


def test_what_was_given_is_not_changed(embed, two_batches):
    before = two_batches.copy()
    embed(two_batches, "batch", 0)
    assert (before.X != two_batches.X).nnz == 0
    assert list(two_batches.obs.columns) == ["batch"]
    assert not two_batches.obsm


def test_a_cell_without_expression_has_none_and_spoils_nobody_else(embed, with_an_empty_cell):
    with_an_empty_cell.obs["batch"] = ["one"] * 350 + ["two"] * 350
    vectors = embed(with_an_empty_cell, "batch", 0)
    assert np.isnan(vectors[3]).all()
    assert np.isfinite(np.delete(vectors, 3, axis=0)).all()


def test_one_batch_needs_no_correction(embed, cells):
    np.testing.assert_array_equal(embed(cells, None, 0), embed_hvg_pca(cells, None, 0))


def test_an_unknown_batch_is_one_of_its_own(embed, two_batches):
    two_batches.obs["batch"] = two_batches.obs["batch"].where(np.arange(two_batches.n_obs) >= 30, np.nan)
    assert np.isfinite(embed(two_batches, "batch", 0)).all()


@pytest.mark.parametrize("name", ["harmony", "scanorama"])
def test_a_shifted_copy_comes_closer_to_what_it_is_a_copy_of(name, two_batches):
    pytest.importorskip(PACKAGES[name], reason="not installed (extra: baselines)")
    corrected = METHODS[name](two_batches, "batch", 0)
    assert _apart(corrected) < 0.9 * _apart(embed_hvg_pca(two_batches, "batch", 0))


def test_components_are_those_that_scanpy_gives_by_hand(cells):
    import scanpy as sc

    by_hand = cells[:, np.asarray(cells.X.sum(axis=0)).ravel() > 0].copy()
    sc.pp.normalize_total(by_hand, target_sum=1e4)
    sc.pp.log1p(by_hand)
    by_hand.X = by_hand.X.toarray()
    sc.pp.scale(by_hand, max_value=10)
    sc.pp.pca(by_hand, n_comps=50, random_state=0)
    np.testing.assert_allclose(embed_hvg_pca(cells, None, 0), by_hand.obsm["X_pca"], atol=1e-3)


def test_harmony_is_what_the_package_gives_by_hand(two_batches):
    harmonypy = pytest.importorskip("harmonypy", reason="harmonypy is not installed (extra: baselines)")
    before = embed_hvg_pca(two_batches, "batch", 0)
    by_hand = harmonypy.run_harmony(before, two_batches.obs, "batch", random_state=0, verbose=False).Z_corr
    by_hand = by_hand if by_hand.shape == before.shape else by_hand.T
    np.testing.assert_allclose(embed_harmony(two_batches, "batch", 0), by_hand, atol=1e-3)


def test_a_single_cell_has_a_vector(cells):
    assert np.isfinite(embed_hvg_pca(cells[:1].copy(), None, 0)).all()


def _apart(vectors) -> float:
    """Distance of the centres of two batches, in units of the spread within them."""
    first, second = vectors[:150], vectors[150:]
    return float(np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) / np.sqrt(first.var(axis=0).sum()))
