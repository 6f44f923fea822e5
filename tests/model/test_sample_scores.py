"""Signature scores of a sample."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from example_signatures import B_CELL, HEPATOCYTE, MONOCYTE, NK_CELL, T_CELL, TYPES, example_head
from okrcell.cells.expression import Expression, read_expression
from okrcell.model import sample_scores as module
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.embedder import Embedder
from okrcell.model.sample_scores import (
    candidate_signatures,
    combine_kinds,
    kinds_of_candidates,
    score_sample,
)
from okrcell.tasks.candidates import Candidate, parse_candidates

FOUR = parse_candidates([B_CELL, T_CELL, MONOCYTE, NK_CELL])
KINDS = {
    "B cell": B_CELL,
    "CD14-positive monocyte": MONOCYTE,
    "natural killer cell": NK_CELL,
    "CD4-positive, alpha-beta memory T cell": T_CELL,
    "regulatory T cell": T_CELL,
}


@pytest.fixture(scope="module")
def model(tiny_model, vocabulary):
    from okrcell.model.cell_text_model import CellTextModel, ModelSettings
    from okrcell.settings import parse_settings

    shape = CellTextModel(parse_settings(ModelSettings, tiny_model, "test"), n_genes=len(vocabulary))
    return Embedder(Checkpoint(shape.eval(), vocabulary, {}, "tiny", example_head(vocabulary.symbol.tolist())))


def signatures_of(candidates, model):
    return candidate_signatures([each.term_id for each in candidates], [each.texts for each in candidates], model)


def score(adata, model, candidates=FOUR, progress=None):
    expression = adata if isinstance(adata, Expression) else read_expression(adata)
    term_ids, signatures = [each.term_id for each in candidates], signatures_of(candidates, model).combined
    panel, head = model.gene_panel(expression), model.signatures
    return score_sample(expression, panel, head, term_ids, signatures, head.combined, progress)


def test_blood_is_told_apart_by_a_few_markers(blood, model):
    found = score(blood, model).scores
    truth = blood.obs["cell_type"].map(KINDS)
    rows = np.flatnonzero(truth.notna())
    named = np.array([each.term_id for each in FOUR])[found[rows].argmax(axis=1)]
    assert (named == truth.to_numpy()[rows]).mean() > 0.85


@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=5)
def test_the_order_of_cells_and_of_candidates_does_not_matter(blood, model, seed):
    made = np.random.default_rng(seed)
    rows, columns = made.permutation(blood.n_obs), made.permutation(4)
    first = score(blood, model)
    second = score(blood[rows], model, [FOUR[place] for place in columns])
    np.testing.assert_allclose(second.scores, first.scores[np.ix_(rows, columns)], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(second.margin, first.margin[rows], rtol=1e-3, atol=1e-3)


def test_scaling_the_counts_of_a_cell_changes_nothing(blood, model):
    linear = np.expm1(blood.X.toarray()) * 3
    scale = np.random.default_rng(0).uniform(0.5, 30, (700, 1))
    scaled = blood.copy()
    scaled.X = sparse.csr_matrix((linear * scale).astype(np.float32))
    np.testing.assert_allclose(score(scaled, model).scores, score(blood, model).scores, rtol=1e-2, atol=1e-2)


@given(seed=st.integers(0, 10**6), genes=st.integers(1, 300), cells=st.integers(1, 40))
@settings(deadline=None, max_examples=10)
def test_any_panel_and_any_number_of_cells_give_a_score_or_none(blood, model, seed, genes, cells):
    made = np.random.default_rng(seed)
    subset = blood[np.sort(made.permutation(700)[:cells]), np.sort(made.permutation(765)[:genes])].copy()
    expression = read_expression(subset, minimum_coverage=0.0)
    found = score(expression, model)
    is_model_gene = np.isin(expression.resolution.row, model.gene_panel(expression).columns)
    filled = np.asarray(subset.X[:, is_model_gene].sum(axis=1)).ravel() > 0
    assert found.scores.shape == (cells, 4)
    np.testing.assert_array_equal(np.isfinite(found.scores).all(axis=1), filled)
    np.testing.assert_array_equal(np.isfinite(found.margin), filled)


def test_genes_that_the_model_does_not_know_have_no_say(blood, model):
    known = np.isin(read_expression(blood).resolution.row, model.gene_panel(read_expression(blood)).columns)
    np.testing.assert_allclose(score(blood[:, known], model).scores, score(blood, model).scores, rtol=1e-4, atol=1e-4)


def test_cells_without_expression_have_no_score_and_change_nobodys(blood, model):
    spoilt = blood[:50].copy()
    dense = spoilt.X.toarray()
    dense[[0, 30]] = 0
    spoilt.X = sparse.csr_matrix(dense)
    rest = np.setdiff1d(np.arange(50), [0, 30])
    found, alone = score(spoilt, model), score(blood[:50][rest].copy(), model)
    assert np.isnan(found.scores[[0, 30]]).all()
    assert np.isnan(found.margin[[0, 30]]).all()
    np.testing.assert_allclose(found.scores[rest], alone.scores, rtol=1e-4, atol=1e-4)


def test_one_cell_alone_is_compared_with_the_corpus(blood, model):
    one = score(blood[5:6].copy(), model)
    assert np.isfinite(one.scores).all()
    corpus = model.signatures.level.numpy()
    measured = model.gene_panel(read_expression(blood)).measured
    np.testing.assert_allclose(one.background.level[measured], corpus[measured], atol=0.15)


def test_one_candidate_is_enough(blood, model):
    found = score(blood[:60], model, parse_candidates([B_CELL]))
    truth = (blood.obs["cell_type"][:60] == "B cell").to_numpy()
    assert found.scores.shape == (60, 1)
    assert found.scores[truth].min() > np.median(found.scores[~truth])


def test_blocks_of_the_file_change_nothing(blood, model, monkeypatch):
    whole, calls = score(blood, model), []
    blocks = Expression.blocks
    monkeypatch.setattr(Expression, "blocks", lambda self, size=64: blocks(self, size))
    parts = score(blood, model, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(parts.margin, whole.margin, rtol=1e-4, atol=1e-4)
    assert calls[-1] == (700, 700)
    assert len(calls) == 11


def test_some_cells_tell_nearly_what_all_do(blood, model, monkeypatch):
    whole = score(blood, model)
    monkeypatch.setattr(module, "MAX_BACKGROUND_CELLS", 200)
    subsample_scores = score(blood, model)
    assert (subsample_scores.scores.argmax(axis=1) == whole.scores.argmax(axis=1)).mean() > 0.93


def test_who_names_only_liver_cells_in_blood_is_far_behind_its_rivals(blood, model):
    wrong = score(blood, model, parse_candidates([HEPATOCYTE]))
    right = score(blood, model)
    assert np.median(wrong.margin) < 0
    assert np.median(right.margin) > np.median(wrong.margin)


def test_where_everything_known_is_asked_for_nobody_leads(blood, model):
    np.testing.assert_array_equal(score(blood[:20], model, parse_candidates(TYPES)).margin, np.zeros(20))


def test_a_known_type_is_found_by_heart_and_other_words_by_the_nearest_texts(model):
    head = model.signatures
    words = Candidate("a word", "", ("makes antibodies", "lies in the blood"))
    found = signatures_of([words, FOUR[1]], model)
    import torch

    read = head.match_texts(torch.from_numpy(model.pool_texts(words.texts))).mean(axis=0)
    np.testing.assert_allclose(found.type_weights[0], read, atol=1e-5)
    np.testing.assert_array_equal(found.type_weights[1], np.eye(5)[1])
    both = (head.knowledge + head.cells).toarray()
    np.testing.assert_allclose(found.combined.toarray(), np.stack([read @ both, both[1]]), atol=1e-5)
    # The text of another candidate does not change the result.
    alone = signatures_of([words], model)
    np.testing.assert_allclose(alone.type_weights[0], found.type_weights[0], atol=1e-6)


def test_signatures_are_the_sum_of_what_tables_and_cells_say(blood, model):
    silent = Embedder(Checkpoint(model.model, model.vocabulary, {}, "tiny", _without_cells(model.signatures)))
    both, books = score(blood[:40], model), score(blood[:40], silent)
    assert (both.scores != books.scores).any()
    assert signatures_of(FOUR, silent).cells.nnz == 0


def _without_cells(head):
    return replace(head, cells=sparse.csr_matrix(head.cells.shape, dtype=np.float32))


LYMPHOCYTE, CD4, CD8, CD8_MEMORY = "CL:0000542", "CL:0000624", "CL:0000625", "CL:0000909"


def test_a_kind_belongs_to_the_deepest_candidate_above_it():
    known = (B_CELL, CD4, CD8, CD8_MEMORY, HEPATOCYTE)
    of_t_cell, of_cd8 = kinds_of_candidates(known, [T_CELL, CD8])
    assert [known[idx] for idx in of_t_cell] == [CD4]
    assert [known[idx] for idx in of_cd8] == [CD8_MEMORY]
    of_lymphocyte, of_text, of_hepatocyte = kinds_of_candidates(known, [LYMPHOCYTE, "", HEPATOCYTE])
    assert [known[idx] for idx in of_lymphocyte] == [B_CELL, CD4, CD8, CD8_MEMORY]
    assert not len(of_text)
    assert not len(of_hepatocyte)


def test_a_candidate_gains_half_of_what_its_best_kind_is_ahead_and_loses_nothing():
    own = np.array([[1.0, 2.0, 3.0]])
    kinds = [np.array([7, 9]), np.array([], dtype=np.intp), np.array([4])]
    combined = combine_kinds(own, np.array([[0.0, 5.0, 2.0]]), kinds)
    np.testing.assert_allclose(combined, [[3.0, 2.0, 3.0]])
    np.testing.assert_allclose(own, [[1.0, 2.0, 3.0]])
