"""Differential expression of groups."""

import anndata
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from okrcell.cells.expression import read_expression
from okrcell.tasks import rank_genes as room
from okrcell.tasks.rank_genes import rank_genes


@pytest.fixture
def counted():
    """Sixty cells in two groups: MS4A1 in the first alone, CD3D in the second alone, ACTB in all."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (60, 4)).astype(np.float32)
    counts[:30, 1] = counts[30:, 0] = 0
    adata = anndata.AnnData(sparse.csr_matrix(counts))
    adata.var_names = ["MS4A1", "CD3D", "ACTB", "GAPDH"]
    return adata


def test_each_group_has_its_own_genes(counted):
    group = np.repeat([0, 1], 30)
    first, second = rank_genes(read_expression(counted), group, 2)
    assert [gene.symbol for gene in first.top_markers(5)] == ["MS4A1"]
    assert [gene.symbol for gene in second.top_markers(5)] == ["CD3D"]
    marker = first.get("MS4A1")
    assert (marker.inside, marker.outside) == (1.0, 0.0)
    assert first.get("FOXP3") is None


def test_they_are_those_that_scanpy_finds(counted):
    group = np.repeat([0, 1], 30)
    ours = rank_genes(read_expression(counted), group, 2)[0]
    expected = counted.copy()
    sc.pp.normalize_total(expected, target_sum=1e4)
    sc.pp.log1p(expected)
    expected.obs["group"] = [str(number) for number in group]
    expected.obs["group"] = expected.obs["group"].astype("category")
    sc.tl.rank_genes_groups(expected, "group", method="t-test")
    table = sc.get.rank_genes_groups_df(expected, "0").set_index("names")
    for gene in ours.genes:
        assert gene.log2_fold == pytest.approx(table["logfoldchanges"][gene.symbol], rel=1e-3)
        assert gene.p_adjusted == pytest.approx(table["pvals_adj"][gene.symbol], rel=1e-3)


def test_too_small_a_group_is_not_compared(counted):
    group = np.full(60, 1)
    group[:2] = 0
    assert rank_genes(read_expression(counted), group, 2) == (None, None)


def test_cells_of_no_group_and_empty_cells_are_left_out(counted):
    group = np.repeat([0, 1], 30)
    plain = rank_genes(read_expression(counted), group, 2)[0]
    rows = np.vstack([counted.X.toarray(), np.zeros((2, 4)), np.full((2, 4), 50)]).astype(np.float32)
    more = anndata.AnnData(sparse.csr_matrix(rows), var=counted.var)
    assert rank_genes(read_expression(more), np.append(group, [0, 1, -1, -1]), 2)[0] == plain


def test_of_a_large_group_some_are_drawn_and_always_the_same(counted, monkeypatch):
    monkeypatch.setattr(room, "MAX_CELLS_PER_GROUP", 10)
    group = np.repeat([0, 1], 30)
    expression = read_expression(counted)
    first = rank_genes(expression, group, 2, seed=3)
    assert first == rank_genes(expression, group, 2, seed=3)
    assert first != rank_genes(expression, group, 2, seed=4)
