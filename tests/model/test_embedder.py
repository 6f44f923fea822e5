"""Cells and texts in, unit vectors out, each of its own."""

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from okrcell.cells.expression import read_expression
from okrcell.model.embedder import Embedder


@pytest.fixture
def embedder(checkpoint):
    return Embedder(checkpoint)


def vectors(embedder, adata):
    return embedder.embed_cells(read_expression(adata))


def test_every_cell_gets_a_unit_vector_in_its_own_place(embedder, blood):
    order = np.random.default_rng(0).permutation(blood.n_obs)
    first, second = vectors(embedder, blood), vectors(embedder, blood[order])
    assert first.shape == (700, 16)
    assert first.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(first[order], second, atol=1e-6)


def test_a_cells_vector_is_the_same_whoever_else_is_in_the_file(embedder, blood):
    subset, all_cells = blood[:40], blood[:300]
    np.testing.assert_allclose(vectors(embedder, subset), vectors(embedder, all_cells)[:40], atol=1e-6)
    for cell in (0, 17, 39):
        np.testing.assert_allclose(vectors(embedder, blood[[cell]])[0], vectors(embedder, subset)[cell], atol=1e-6)


def test_counts_and_their_logarithm_give_the_same_vector(embedder, blood):
    linear = blood[:50].copy()
    linear.X = sparse.csr_matrix(np.expm1(linear.X.toarray()))
    np.testing.assert_allclose(vectors(embedder, linear), vectors(embedder, blood[:50]), atol=1e-5)


def test_a_cell_without_expression_has_no_vector_and_keeps_its_place(embedder, blood):
    spoilt = blood[:30].copy()
    dense = spoilt.X.toarray()
    dense[[0, 11]] = 0
    spoilt.X = sparse.csr_matrix(dense)
    found = vectors(embedder, spoilt)
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [0, 11]
    assert np.isnan(found[[0, 11]]).all()
    rest = np.setdiff1d(np.arange(30), [0, 11])
    np.testing.assert_allclose(found[rest], vectors(embedder, blood[:30])[rest], atol=1e-6)


def test_progress_counts_up_to_all_cells(embedder, blood):
    progress_calls = []
    embedder.embed_cells(
        read_expression(blood), progress=lambda done, all_cells: progress_calls.append((done, all_cells))
    )
    assert progress_calls[-1] == (700, 700)


def test_texts_keep_their_order_and_know_nothing_of_one_another(embedder):
    texts = [f"{'natural killer ' * (number % 5)}cell {number}" for number in range(150)]
    found = embedder.embed_texts(texts)
    assert found.shape == (150, 16)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    for place in (0, 77, 149):
        np.testing.assert_allclose(found[place], embedder.embed_texts([texts[place]])[0], atol=1e-6)
    assert embedder.embed_texts([]).shape == (0, 16)


def test_a_panel_of_some_genes_is_counted_and_works(embedder, blood):
    whole, panel = read_expression(blood), read_expression(blood[:, :200])
    assert 0 < embedder.n_measured_genes(panel) < embedder.n_measured_genes(whole) <= len(embedder.vocabulary)
    assert np.isfinite(embedder.embed_cells(panel)).any(axis=1).mean() > 0.95


def test_names_that_are_no_genes_of_the_model_give_no_vectors(embedder, blood):
    known = set(embedder.vocabulary.symbol.tolist())
    others = [gene for gene in ("INS", "GCG", "SST", "PPY", "PRL", "GH1", "TTN", "MYH6") if gene not in known]
    adata = ad.AnnData(np.ones((4, len(others)), np.float32))
    adata.var_names = others
    assert np.isnan(vectors(embedder, adata)).all()
