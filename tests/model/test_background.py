"""A cell is compared with what is usual: in the corpus, and in its own sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from example_signatures import example_head
from okrcell.model.marker_scores import (
    MAX_Z_SCORE,
    MIN_PRIOR_WEIGHT,
    MIN_SPREAD,
    PRIOR_CELLS,
    Background,
    GenePanel,
    estimate_background,
)

GENES = 30
HEAD = example_head([f"gene{number}" for number in range(GENES)])
LEVEL, SPREAD, LINEAR = (getattr(HEAD, name).numpy().astype(float) for name in ("level", "spread", "linear"))


def counts(cells, seed=0, genes=GENES):
    made = np.random.default_rng(seed)
    return sparse.csr_matrix(made.poisson(1.5, (cells, genes)) * (made.random((cells, genes)) < 0.5), dtype=np.float32)


def panel(measured=None, table=GENES):
    """The model's genes stand in the table from its end to its start."""
    column = np.arange(table)[::-1][:GENES].astype(np.intp)
    return GenePanel.from_measured(HEAD, column, np.ones(GENES, dtype=bool) if measured is None else measured)


def test_a_cell_is_scaled_to_what_its_measured_genes_make_up_of_a_cell_of_the_corpus():
    measured = np.arange(GENES) % 3 == 0
    block = counts(12).toarray()
    block[:, ~measured[::-1]] = 0
    logs = panel(measured).log_normalize(sparse.csr_matrix(block)).toarray()
    own = block[:, ::-1].astype(float)
    expected = np.log1p(own / own.sum(axis=1, keepdims=True) * LINEAR[measured].sum())
    np.testing.assert_allclose(logs, expected, rtol=1e-5)
    np.testing.assert_allclose(np.expm1(logs).sum(axis=1), LINEAR[measured].sum(), rtol=1e-4)


def test_genes_that_the_model_does_not_know_change_nothing():
    block = counts(8, genes=GENES + 7)
    others = block.toarray()
    others[:, :7] = 99
    column = panel(table=GENES + 7)
    np.testing.assert_array_equal(
        column.log_normalize(block).toarray(), column.log_normalize(sparse.csr_matrix(others)).toarray()
    )


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 1e4))
@settings(deadline=None)
def test_scaling_a_cells_counts_changes_nothing(seed, scale):
    block = counts(5, seed)
    scaled = sparse.csr_matrix(block * np.float32(scale))
    np.testing.assert_allclose(
        panel().log_normalize(block).toarray(), panel().log_normalize(scaled).toarray(), rtol=1e-4, atol=1e-6
    )


def test_a_cell_without_known_genes_stays_empty_whether_its_zeros_are_stored_or_not():
    stored = sparse.csr_matrix((np.zeros(3, np.float32), [1, 2, 3], [0, 3, 3]), shape=(2, GENES))
    assert np.diff(panel().log_normalize(stored).indptr).tolist() == [0, 0]
    unmeasured = GenePanel.from_measured(HEAD, np.arange(GENES, dtype=np.intp), np.zeros(GENES, dtype=bool))
    assert unmeasured.log_normalize(counts(3)).nnz == 0


def plainly_usual(logs, weight=None):
    """The same in the open, over cells that have expression."""
    weight = np.ones(len(logs)) if weight is None else weight
    has_expression = logs.any(axis=1)
    logs, weight, cells = logs[has_expression], weight[has_expression], has_expression.sum()
    share = (PRIOR_CELLS + MIN_PRIOR_WEIGHT * cells) / (PRIOR_CELLS + cells)
    level = (1 - share) * np.average(logs, axis=0, weights=weight) + share * LEVEL
    return level, np.sqrt((1 - share) * logs.var(axis=0) + share * SPREAD**2 + MIN_SPREAD**2)


@pytest.mark.parametrize("cells", [1, 2, 40, 3000])
def test_what_is_usual_is_the_sample_drawn_towards_the_corpus(cells):
    logs = panel().log_normalize(counts(cells, 5))
    assert np.diff(logs.indptr).any()
    found = estimate_background(HEAD, [logs])
    level, spread = plainly_usual(logs.toarray().astype(float))
    np.testing.assert_allclose(found.level, level, rtol=1e-4)
    np.testing.assert_allclose(found.spread, spread, rtol=1e-3)


def test_cells_may_count_differently_for_the_level():
    logs = panel().log_normalize(counts(60, 6))
    weight = np.random.default_rng(0).random(60)
    found = estimate_background(HEAD, [logs], iter([weight]))
    level, spread = plainly_usual(logs.toarray().astype(float), weight)
    np.testing.assert_allclose(found.level, level, rtol=1e-4)
    np.testing.assert_allclose(found.spread, spread, rtol=1e-3)


@given(seed=st.integers(0, 10**6), cut=st.integers(0, 30))
@settings(deadline=None)
def test_what_is_usual_depends_on_no_order_and_no_blocks_and_no_empty_rows(seed, cut):
    block = counts(30, seed)
    whole = estimate_background(HEAD, [panel().log_normalize(block)])
    order = np.random.default_rng(seed).permutation(30)
    turned = panel().log_normalize(block[order])
    empty = sparse.csr_matrix((4, GENES), dtype=np.float32)
    again = estimate_background(HEAD, [turned[:cut], empty, turned[cut:]])
    np.testing.assert_allclose(whole.level, again.level, rtol=1e-5)
    np.testing.assert_allclose(whole.spread, again.spread, rtol=1e-5)


def test_without_a_cell_the_corpus_alone_says_what_is_usual():
    for blocks in ([], [sparse.csr_matrix((3, GENES), dtype=np.float32)]):
        found = estimate_background(HEAD, blocks)
        np.testing.assert_allclose(found.level, LEVEL)
        np.testing.assert_allclose(found.spread, np.sqrt(SPREAD**2 + MIN_SPREAD**2))


def test_one_cell_hardly_changes_what_is_usual_and_a_million_keep_the_corpus_in_mind():
    one = panel().log_normalize(counts(1, 1))
    change = np.abs(estimate_background(HEAD, [one]).level - LEVEL)
    assert (change <= 0.02 * np.abs(one.toarray()[0] - LEVEL) + 1e-9).all()
    cells = 1_000_000
    share = (PRIOR_CELLS + MIN_PRIOR_WEIGHT * cells) / (PRIOR_CELLS + cells)
    assert share == pytest.approx(MIN_PRIOR_WEIGHT, rel=1e-2)


def test_standard_scores_are_cut_above_and_never_divided_by_nothing():
    known = Background(np.zeros(3), np.array([MIN_SPREAD, 1.0, 2.0]))
    logs = sparse.csr_matrix(np.array([[5.0, 2.0, 0.0], [0.5, 11.0, 30.0]], dtype=np.float32))
    np.testing.assert_allclose(known.z_scores(logs), [[MAX_Z_SCORE, 2, 0], [5, MAX_Z_SCORE, MAX_Z_SCORE]], rtol=1e-6)
    level = Background(np.full(3, 1.0), np.full(3, 0.5))
    np.testing.assert_allclose(level.z_scores(logs)[0], [(5 - 1) / 0.5, 2, -2], rtol=1e-6)
    constant = estimate_background(HEAD, [panel().log_normalize(sparse.csr_matrix(np.ones((500, GENES), np.float32)))])
    assert (constant.spread >= MIN_SPREAD).all()
