"""Whatever is in a matrix, its rows keep their number, their place and their sums."""

import numpy as np
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from okrcell.cells.expression import read_expression

NAMES = ["CD3D", "ENSG00000167286", "LYZ", "no gene", "MLL", "ms4a1"]
"""The first two are one gene; the fourth is none."""
HELD = np.array([0, 1, 2, 4, 5])

counts = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.just(len(NAMES))),
    elements=st.one_of(st.just(0.0), st.integers(0, 5000).map(float), st.just(np.nan)),
)


@given(counts, st.integers(1, 50), st.sampled_from(["dense", "csr", "csc"]))
@settings(max_examples=80, deadline=None)
def test_rows_are_never_dropped_moved_or_changed(values, size, form):
    shaped = {"dense": values, "csr": sparse.csr_matrix(values), "csc": sparse.csc_matrix(values)}[form]
    adata = AnnData(shaped)
    adata.var_names = NAMES
    rows = sparse.vstack(list(read_expression(adata).blocks(size)), format="csr")
    expected = np.nansum(values[:, HELD], axis=1)  # NaN is not measured: the other genes of the cell count
    assert rows.shape[0] == len(values)
    assert np.allclose(np.asarray(rows.sum(axis=1)).ravel(), expected)
    assert (rows.data > 0).all()


@given(counts, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_genes_says_nothing(values, random):
    order = list(range(len(NAMES)))
    random.shuffle(order)
    both = []
    for columns in (list(range(len(NAMES))), order):
        adata = AnnData(values[:, columns])
        adata.var_names = [NAMES[column] for column in columns]
        both.append(next(read_expression(adata).blocks()).toarray())
    assert np.array_equal(*both)
