"""What is lost, and what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.benchmarking.datasets.downsampling import downsample_counts, dropout, gene_panel
from okrcell.benchmarking.methods import unlabeled_cells
from okrcell.errors import InputError


@pytest.fixture(scope="module")
def cells(blood):
    from scipy import sparse

    counts = unlabeled_cells(blood)
    # Whole counts, each about three times what the file's logarithms came from.
    counts.X = sparse.csr_matrix((counts.X * 3).ceil(), dtype=np.float32)
    # In each cell one gene has one molecule, as it is with real counts.
    one = sparse.csr_matrix(([1.0] * counts.n_obs, (range(counts.n_obs), [0] * counts.n_obs)), shape=counts.shape)
    others = counts.X.multiply(np.arange(counts.n_vars) > 0)
    counts.X = sparse.csr_matrix(others + one, dtype=np.float32)
    counts.uns["kind"] = "counts"
    return counts


def test_dropout_loses_its_share_of_the_entries_and_changes_no_other(cells):
    spoilt = dropout(cells, 0.3, 0)
    assert spoilt.X.nnz / cells.X.nnz == pytest.approx(0.7, abs=0.01)
    left = spoilt.X.toarray()
    assert np.array_equal(left[left > 0], cells.X.toarray()[left > 0])


def test_shallow_counts_are_whole_and_never_more_than_they_were(cells):
    spoilt = downsample_counts(cells, 0.25, 0)
    assert spoilt.X.sum() / cells.X.sum() == pytest.approx(0.25, abs=0.01)
    assert (spoilt.X.data % 1 == 0).all()
    assert ((cells.X - spoilt.X).toarray() >= 0).all()


def test_values_that_are_counts_over_their_total_are_thinned_like_the_counts(cells):
    linear = cells.copy()
    total = np.asarray(cells.X.sum(axis=1))
    linear.X = cells.X.multiply(1e4 / total).tocsr().astype(np.float32)
    linear.uns["kind"] = "linear"
    by_counts, by_values = downsample_counts(cells, 0.5, 1), downsample_counts(linear, 0.5, 1)
    np.testing.assert_allclose(by_values.X.toarray(), by_counts.X.toarray() * (1e4 / total), rtol=1e-4)


def test_a_panel_is_made_of_the_files_own_genes_in_their_order(cells):
    small = gene_panel(cells, 200)
    assert small.n_vars == 200
    places = cells.var_names.get_indexer(small.var_names)
    assert (np.diff(places) > 0).all()
    assert (cells[:, small.var_names].X != small.X).nnz == 0


def test_a_panel_holds_the_genes_that_tell_blood_cells_apart(cells):
    assert {"NKG7", "GNLY", "LYZ", "S100A8"} <= set(gene_panel(cells, 100).var_names)


def test_a_panel_larger_than_the_file_is_the_file(cells):
    assert gene_panel(cells, 5000).n_vars == cells.n_vars


@pytest.mark.parametrize(
    "spoil", [lambda c: dropout(c, 0.5, 3), lambda c: downsample_counts(c, 0.5, 3), lambda c: gene_panel(c, 50)]
)
def test_spoiling_is_the_same_each_time_and_leaves_the_cells_as_they_were(cells, spoil):
    before = cells.copy()
    one, two = spoil(cells), spoil(cells)
    assert (one.X != two.X).nnz == 0
    assert (before.X != cells.X).nnz == 0
    assert list(one.obs_names) == list(cells.obs_names)
    assert one.uns["kind"] == "counts"


@given(share=st.floats(0, 1), seed=st.integers(0, 5))
def test_no_share_ever_makes_an_entry_or_moves_a_cell(share, seed):
    from anndata import AnnData
    from scipy import sparse

    values = sparse.random(6, 8, 0.4, format="csr", dtype=np.float32, random_state=seed)
    values.data = np.ceil(values.data * 5)
    few = AnnData(values, uns={"kind": "counts"})
    for spoilt in (dropout(few, share, seed), downsample_counts(few, share, seed)):
        assert spoilt.shape == few.shape
        assert ((few.X - spoilt.X).toarray() >= 0).all()
    assert dropout(few, 0, seed).X.nnz == downsample_counts(few, 1, seed).X.nnz == few.X.nnz
    assert dropout(few, 1, seed).X.nnz == downsample_counts(few, 0, seed).X.nnz == 0


def test_what_is_no_share_is_refused(cells):
    with pytest.raises(InputError, match="between 0 and 1"):
        dropout(cells, 30, 0)
    with pytest.raises(InputError, match="between 0 and 1"):
        downsample_counts(cells, -0.1, 0)
    with pytest.raises(InputError, match="at least one gene"):
        gene_panel(cells, 0)
