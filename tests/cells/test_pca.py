"""Highly variable genes and PCA of a sample."""

import warnings

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from okrcell.cells.expression import read_expression
from okrcell.cells.pca import (
    highly_variable_genes,
    log_normalize,
    pca,
    sample_pca,
    z_scores,
)


@pytest.fixture(scope="module")
def expression(blood):
    return read_expression(blood)


def test_logs_are_those_of_scanpy(expression):
    block = next(expression.blocks(100))
    whole = ad.AnnData(block.copy())
    sc.pp.normalize_total(whole, target_sum=1e4)
    sc.pp.log1p(whole)
    np.testing.assert_allclose(log_normalize(block).toarray(), whole.X.toarray(), rtol=1e-5)


def test_variable_genes_are_those_of_scanpy(expression):
    whole = ad.AnnData(log_normalize(sparse.csr_matrix(sparse.vstack(list(expression.blocks())))))
    whole = whole[:, np.asarray(whole.X.sum(axis=0)).ravel() > 0].copy()
    whole.var["row"] = np.flatnonzero(np.asarray(sparse.vstack(list(expression.blocks())).sum(axis=0)).ravel())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.highly_variable_genes(whole, n_top_genes=200)
    expected = set(whole.var["row"][whole.var["highly_variable"]])
    assert len(set(highly_variable_genes(expression, 200).gene) & expected) >= 195


def test_components_are_those_of_dense_principal_components(expression):
    chosen = highly_variable_genes(expression, 300)
    scaled = z_scores(chosen.log_expr)
    dense = chosen.log_expr.toarray()
    dense = np.minimum((dense - dense.mean(axis=0)) / dense.std(axis=0), 10)
    u, s, _ = np.linalg.svd(dense - dense.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(pca(scaled, 5)), np.abs(u[:, :5] * s[:5]), atol=0.02)


def test_a_cell_without_expression_is_nan_and_spoils_nobody(blood):
    subset = blood[:60].copy()
    alone = sample_pca(read_expression(subset), 5)
    empty = ad.concat([subset, subset[:1]], index_unique="-", merge="same")
    filled = empty.X.tolil()
    filled[60] = 0
    empty.X = filled.tocsr()
    with_empty = sample_pca(read_expression(empty), 5)
    assert np.isnan(with_empty[60]).all()
    np.testing.assert_allclose(with_empty[:60], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_few_cells_have_few_components(blood, cells):
    found = sample_pca(read_expression(blood[:cells].copy()))
    assert found.shape == (cells, max(1, cells - 1))
    assert np.isfinite(found).all()


def test_no_cell_with_expression_gives_no_component(blood):
    nothing = blood[:4].copy()
    nothing.X = sparse.csr_matrix(nothing.shape, dtype=np.float32)
    assert np.isnan(sample_pca(read_expression(nothing))).all()


def test_few_cells_have_the_components_of_a_full_decomposition():
    rng = np.random.default_rng(0)
    values = sparse.csr_matrix(rng.poisson(1.0, size=(30, 80)).astype(np.float32))
    centered = values.toarray() - values.toarray().mean(axis=0)
    left, lengths, _ = np.linalg.svd(centered, full_matrices=False)
    components = pca(values, 5)
    np.testing.assert_allclose(np.abs(components), np.abs(left * lengths)[:, :5], rtol=1e-3, atol=1e-4)


def test_cells_that_do_not_differ_have_components_of_zero():
    same = sparse.csr_matrix(np.ones((4, 9), dtype=np.float32))
    np.testing.assert_allclose(pca(same, 2), 0, atol=1e-5)
