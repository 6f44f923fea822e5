"""Evidence is what a cell has more of than usual, in the genes that tell one candidate from the others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from example_signatures import example_head
from okrcell.model import marker_scores as module
from okrcell.model.marker_scores import (
    MIN_NORM,
    Background,
    SignatureContrast,
    balanced_background,
    estimate_background,
    restrict_to_panel,
)
from okrcell.model.signatures import TypeVariation

GENES = 40
ALL = np.ones(GENES, dtype=bool)
HEAD = example_head([f"gene{number}" for number in range(GENES)])


def signatures(candidates, seed=0, filled=0.3):
    made = np.random.default_rng(seed)
    dense = made.normal(size=(candidates, GENES)) * (made.random((candidates, GENES)) < filled)
    dense[:, 0] = 1.0
    return sparse.csr_matrix(dense.astype(np.float32))


def cells(number, seed=0):
    made = np.random.default_rng(seed)
    return sparse.csr_matrix((made.gamma(1, 1, (number, GENES)) * (made.random((number, GENES)) < 0.4)).astype("f4"))


def example_background(seed=0):
    made = np.random.default_rng(seed)
    return Background(made.gamma(1, 0.5, GENES), made.uniform(0.2, 1.5, GENES))


def plainly_scored(signatures, measured, logs, known, others=None):
    """Dense: z (own - common) / |own - common|, over the genes that were measured."""

    def units(rows):
        rows = rows.toarray().astype(float) * measured
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), MIN_NORM)

    own = units(signatures)
    common = own.mean(axis=0) if len(own) > 1 else np.zeros(GENES)
    apart = (own if others is None else units(others)) - common
    z = (np.minimum(logs.toarray(), known.level + 10 * known.spread) - known.level) / known.spread
    return z @ apart.T / np.maximum(np.linalg.norm(apart, axis=1), MIN_NORM)


@given(
    seed=st.integers(0, 10**6),
    candidates=st.integers(1, 60),
    filled=st.sampled_from([0.02, 0.3, 1.0]),
    panel=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_scores_are_those_of_the_formula_on_any_panel(seed, candidates, filled, panel):
    measured = np.random.default_rng(seed).random(GENES) < panel
    candidate_signatures, logs, known = signatures(candidates, seed, filled), cells(7, seed), example_background(seed)
    contrast = SignatureContrast.from_signatures(candidate_signatures, measured)
    expected = plainly_scored(candidate_signatures, measured, logs, known)
    np.testing.assert_allclose(contrast.scores(logs, known), expected, rtol=1e-3, atol=1e-3)
    rivals = signatures(3, seed + 1)
    np.testing.assert_allclose(
        contrast.scores(logs, known, restrict_to_panel(rivals, measured)),
        plainly_scored(candidate_signatures, measured, logs, known, rivals),
        rtol=1e-3,
        atol=1e-3,
    )


def example_variation(seed=0, axes=3):
    made = np.random.default_rng(seed)
    orthonormal, _ = np.linalg.qr(made.normal(size=(GENES, axes)))
    return TypeVariation(orthonormal.astype(np.float32), made.uniform(0.5, 20, axes).astype(np.float32))


@given(seed=st.integers(0, 10**6), panel=st.floats(0.1, 1))
@settings(max_examples=30, deadline=None)
def test_variation_within_types_is_damped_as_by_the_inverse_covariance(seed, panel):
    measured = np.random.default_rng(seed).random(GENES) < panel
    candidates, logs, known, variation = (
        signatures(5, seed),
        cells(7, seed),
        example_background(seed),
        example_variation(seed),
    )
    rows = candidates.toarray().astype(float) * measured
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), MIN_NORM)
    apart = rows - rows.mean(axis=0)
    axes = variation.axes.astype(float) * measured[:, None]
    inverse = np.linalg.inv(np.eye(GENES) + axes @ np.diag(variation.variances.astype(float)) @ axes.T)
    z = (np.minimum(logs.toarray(), known.level + 10 * known.spread) - known.level) / known.spread * measured
    norm = np.sqrt(np.maximum(np.einsum("ig,gh,ih->i", apart, inverse, apart), 0))
    expected = z @ inverse @ apart.T / np.maximum(norm, MIN_NORM)
    found = SignatureContrast.from_signatures(candidates, measured, variation).scores(logs, known)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)


def test_multiplying_sparse_or_dense_gives_the_same(monkeypatch):
    contrast = SignatureContrast.from_signatures(signatures(60, filled=0.05), ALL)
    found = contrast.scores(cells(9), example_background())
    monkeypatch.setattr(module, "MIN_SPARSE_ROWS", 10**6)
    np.testing.assert_allclose(contrast.scores(cells(9), example_background()), found, rtol=1e-4, atol=1e-5)


def test_genes_that_were_not_measured_have_no_say():
    measured = np.arange(GENES) < 25
    logs = cells(6)
    spoilt = logs.toarray()
    spoilt[:, ~measured] = 9
    contrast = SignatureContrast.from_signatures(signatures(4), measured)
    known = example_background()
    changed = Background(np.where(measured, known.level, 5.0), known.spread)
    np.testing.assert_allclose(
        contrast.scores(logs, known), contrast.scores(sparse.csr_matrix(spoilt), changed), rtol=1e-5, atol=1e-6
    )


@given(seed=st.integers(0, 10**6))
@settings(deadline=None)
def test_the_order_of_cells_and_candidates_does_not_matter(seed):
    made = np.random.default_rng(seed)
    rows, columns = made.permutation(12), made.permutation(5)
    candidate_signatures, logs, known = signatures(5, seed), cells(12, seed), example_background(seed)
    first = SignatureContrast.from_signatures(candidate_signatures, ALL).scores(logs, known)
    second = SignatureContrast.from_signatures(candidate_signatures[columns], ALL).scores(logs[rows], known)
    np.testing.assert_allclose(first[np.ix_(rows, columns)], second, rtol=1e-3, atol=1e-4)


def test_what_all_candidates_share_tells_none_of_them_apart():
    apart = np.zeros((3, GENES), dtype=np.float32)
    apart[[0, 1, 2], [1, 2, 3]] = 1
    shared = apart.copy()
    shared[:, 9] = 1
    logs, known = cells(20), example_background()
    louder = logs.toarray()
    louder[:, 9] = 8
    contrast = SignatureContrast.from_signatures(sparse.csr_matrix(shared), ALL)
    np.testing.assert_allclose(
        contrast.scores(logs, known), contrast.scores(sparse.csr_matrix(louder), known), atol=1e-4
    )
    assert (
        contrast.scores(logs, known).argmax(1)
        == SignatureContrast.from_signatures(sparse.csr_matrix(apart), ALL).scores(logs, known).argmax(1)
    ).all()


def test_a_candidate_alone_is_scored_by_all_its_genes():
    contrast = SignatureContrast.from_signatures(signatures(1), ALL)
    assert not contrast.mean_signature.any()
    assert contrast.scores(cells(3), example_background()).shape == (3, 1)


def test_candidates_that_predict_the_same_get_the_same():
    twice = sparse.csr_matrix(sparse.vstack([signatures(1), signatures(1)]))
    np.testing.assert_allclose(
        SignatureContrast.from_signatures(twice, ALL).scores(cells(5), example_background()), 0, atol=1e-3
    )


def test_a_signature_of_which_nothing_was_measured_is_silent_and_a_faint_one_stays_faint():
    dense = np.zeros((3, GENES), dtype=np.float32)
    dense[0, :5], dense[1, 30:], dense[2, 30:] = 1, 1, 1
    dense[2, 0] = 0.01
    panel_signatures = restrict_to_panel(sparse.csr_matrix(dense), np.arange(GENES) < 20)
    np.testing.assert_allclose(np.linalg.norm(panel_signatures.toarray(), axis=1), [1, 0, 0.01 / MIN_NORM], rtol=1e-5)
    assert panel_signatures.nnz == 6


def lopsided(many, few):
    """A sample of two types: the first expresses gene 1, the second gene 2."""
    made = np.random.default_rng(0)
    dense = made.gamma(0.5, 0.3, (many + few, GENES))
    dense[:many, 1] += 3
    dense[many:, 2] += 3
    return sparse.csr_matrix(dense.astype(np.float32))


TWO = sparse.csr_matrix((np.ones(2, np.float32), [1, 2], [0, 1, 2]), shape=(2, GENES))


def test_a_type_that_fills_a_sample_does_not_hide_its_own_markers():
    logs, contrast = lopsided(950, 50), SignatureContrast.from_signatures(TWO, ALL)
    plain, balanced = estimate_background(HEAD, [logs]), balanced_background(HEAD, logs, contrast)
    even = estimate_background(HEAD, [lopsided(500, 500)])
    assert plain.level[1] > balanced.level[1] + 0.5
    np.testing.assert_allclose(balanced.level[[1, 2]], even.level[[1, 2]], atol=0.35)
    assert (contrast.scores(logs, balanced).argmax(axis=1) == np.repeat([0, 1], [950, 50])).mean() > 0.99


def test_balance_does_not_depend_on_the_order_of_the_cells():
    logs, contrast = lopsided(80, 20), SignatureContrast.from_signatures(TWO, ALL)
    order = np.random.default_rng(0).permutation(100)
    first, second = balanced_background(HEAD, logs, contrast), balanced_background(HEAD, logs[order], contrast)
    np.testing.assert_allclose(first.level, second.level, rtol=1e-4)
    np.testing.assert_allclose(first.spread, second.spread, rtol=1e-4)


@pytest.mark.parametrize("logs", [cells(1), sparse.csr_matrix((5, GENES), dtype=np.float32)])
def test_one_cell_or_none_cannot_be_balanced(logs):
    found = balanced_background(HEAD, logs, SignatureContrast.from_signatures(TWO, ALL))
    np.testing.assert_array_equal(found.level, estimate_background(HEAD, [logs]).level)


def test_cells_without_expression_change_nothing_in_the_balance():
    logs, contrast = lopsided(60, 20), SignatureContrast.from_signatures(TWO, ALL)
    more = sparse.csr_matrix(sparse.vstack([logs, sparse.csr_matrix((30, GENES), dtype=np.float32)]))
    np.testing.assert_allclose(
        balanced_background(HEAD, more, contrast).level, balanced_background(HEAD, logs, contrast).level, rtol=1e-6
    )
