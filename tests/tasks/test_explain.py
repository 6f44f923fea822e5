"""Explanation of predictions by gene contributions."""

import numpy as np
import pytest
from signature_fakes import CORPUS_WEIGHTS, TABLES, SignatureModel, score_candidates

from okrcell.cells.expression import read_expression
from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.tasks.candidates import Candidate, parse_candidates
from okrcell.tasks.expected_signatures import CandidateSignatures, ExpectedSignature
from okrcell.tasks.explain import (
    SOURCE_BOTH,
    SOURCE_CELLS,
    SOURCE_TABLES,
    detection_rates,
    explain_groups,
    gene_contributions,
    source_of,
)

CANDIDATES = parse_candidates(["B cell", "T cell", "monocyte"])


@pytest.fixture(scope="module")
def model(blood):
    return SignatureModel(blood)


@pytest.fixture(scope="module")
def blood_explained(blood, model):
    """B cells and other cells, annotated by signature scores and explained with a source that has MS4A1."""
    expression = read_expression(blood)
    group = np.where(blood.obs["cell_type"] == "B cell", 0, 1)
    scores = score_candidates(expression, CANDIDATES, model)[0].scores
    return explain_groups(
        expression, group, ["b", "rest"], CANDIDATES, scores, scores.argmax(axis=1), model, sources=[_Source()], top=6
    )


class _Source:
    name, snapshot = "tables", "of today"

    def evidence_for(self, term):
        if term != "CL:0000236":
            return ()
        return (
            Evidence(
                "Marker genes of B cell: MS4A1.", "A table", "CL:0000236", "1", "CC0", "marker", (term,), ("MS4A1",)
            ),
        )


def expected(whole):
    return ExpectedSignature(whole, whole, 0 * whole)


def test_the_word_of_a_gene_is_the_difference_of_the_names_times_what_the_cells_show():
    predicted, runner_up, relative = np.array([0.5, 0.0, 0.2]), np.array([0.1, 0.4, 0.2]), np.array([2.0, 1.0, 3.0])
    genes = gene_contributions(relative, expected(predicted), expected(runner_up), 9)
    assert [(gene.gene_idx, pytest.approx(gene.value)) for gene in genes] == [(0, 0.8), (1, -0.4)]
    assert sum(gene.value for gene in genes) == pytest.approx((predicted - runner_up) @ relative)
    assert (genes[0].from_prediction, genes[0].expects_presence) == (True, True)
    assert (genes[1].from_prediction, genes[1].expects_presence) == (False, True)


def test_words_of_all_genes_sum_to_the_lead_in_evidence(blood, model):
    expression = read_expression(blood)
    panel = model.gene_panel(expression)
    sample, signatures = score_candidates(expression, CANDIDATES, model)
    term_ids = [candidate.term_id for candidate in CANDIDATES]
    expected_of = CandidateSignatures.from_candidates(signatures, model.signatures, term_ids, panel.measured).of
    relative = sample.background.z_scores(panel.log_normalize(next(expression.blocks())))[7]
    b, t = expected_of(0, relative), expected_of(1, relative)
    np.testing.assert_allclose(b.from_tables + b.from_cells, b.weights)
    genes = gene_contributions(relative, b, t, 10_000)
    assert sum(gene.value for gene in genes) == pytest.approx(sample.scores[7, 0] - sample.scores[7, 1], rel=1e-3)


def test_a_gene_that_was_not_measured_says_nothing(blood, model):
    without = blood[:, blood.var_names != "CD79A"].copy()
    expression = read_expression(without)
    group, best = np.where(without.obs["cell_type"] == "B cell", 0, -1), np.zeros(without.n_obs, int)
    scores = score_candidates(expression, CANDIDATES, model)[0].scores
    (explanation,) = explain_groups(expression, group, ["b"], CANDIDATES, scores, best, model, top=1000)
    assert "CD79A" not in {gene.symbol for gene in explanation.genes}
    assert "MS4A1" in {gene.symbol for gene in explanation.genes}


def test_the_source_is_who_says_so_and_both_when_both_do():
    assert source_of(0.9, 0.1, 1.0) == SOURCE_TABLES
    assert source_of(0.1, 0.9, 1.0) == SOURCE_CELLS
    assert source_of(0.6, 0.4, 1.0) == SOURCE_BOTH
    # The part of the tables has the opposite sign: the source is the cells.
    assert source_of(-0.9, 1.0, 0.1) == SOURCE_CELLS
    assert source_of(-0.6, -0.1, -0.7) == SOURCE_TABLES


def test_b_cells_are_told_by_their_genes_with_source_and_record(blood_explained):
    b = blood_explained[0]
    assert (b.prediction.name, b.runner_up.name) == ("B cell", "T cell")
    assert 0.9 < b.fraction <= 1
    by = {gene.symbol: gene for gene in b.genes}
    assert by["CD79A"].supports_prediction
    assert by["CD79A"].contribution.source == SOURCE_TABLES
    assert by["HLA-DRA"].contribution.source == SOURCE_CELLS
    assert by["MS4A1"].records[0].source == "A table"
    assert by["HLA-DRA"].records == ()
    assert by["CD79A"].inside > 0.8 > 0.3 > by["CD79A"].outside
    # CD3D supports the runner-up in both parts and is low here, so it supports the prediction.
    assert by["CD3D"].supports_prediction
    assert by["CD3D"].contribution.relative_expression < 0
    assert by["CD3D"].contribution.source == SOURCE_BOTH


def test_every_gene_that_speaks_is_one_that_a_signature_names(blood_explained):
    named = {gene for part in (TABLES, CORPUS_WEIGHTS) for genes in part.values() for gene in genes}
    for explanation in blood_explained:
        values = [abs(gene.contribution.value) for gene in explanation.genes]
        assert values == sorted(values, reverse=True)
        assert len(values) <= 6
        assert {gene.symbol for gene in explanation.genes} <= named


def test_one_candidate_has_no_rival_and_a_group_without_expression_no_answer(blood, model):
    adata = blood[:6].copy()
    scores = np.full((6, 1), 0.5, np.float32)
    scores[:2] = np.nan
    group = np.array([1, 1, 0, 0, 0, -1])
    one, none = explain_groups(
        read_expression(adata), group, ["with expression", "without"], CANDIDATES[:1], scores, np.zeros(6, int), model
    )
    assert one.prediction == CANDIDATES[0]
    assert (one.runner_up, one.n_cells) == (None, 3)
    assert np.isnan(one.scores[1])
    assert one.genes
    assert (none.prediction, none.genes, none.without_expression) == (None, (), 2)


def test_a_model_without_signatures_says_so(blood):
    with pytest.raises(InputError, match="has no gene signatures"):
        explain_groups(
            read_expression(blood[:3].copy()), np.zeros(3, int), ["all"], CANDIDATES, np.zeros((3, 3)), np.zeros(3, int),
            SignatureModel(blood, signatures=False),
        )  # fmt: skip


def test_a_sentence_is_explained_by_the_known_types_it_was_read_from(blood, model):
    glowing = [Candidate("a cell that makes antibodies", "", ("a cell that makes antibodies",)), CANDIDATES[1]]
    scores = np.tile(np.array([0.9, 0.1], np.float32), (blood.n_obs, 1))
    group = np.where(blood.obs["cell_type"] == "B cell", 0, -1)
    (explanation,) = explain_groups(
        read_expression(blood), group, ["b"], glowing, scores, np.zeros(blood.n_obs, int), model, sources=[_Source()]
    )
    by = {gene.symbol: gene for gene in explanation.genes}
    assert by["MS4A1"].supports_prediction
    assert by["MS4A1"].records[0].record == "CL:0000236"


def test_presence_counts_cells_with_the_gene_inside_and_outside(blood):
    adata = blood[:50].copy()
    expression = read_expression(adata)
    group = np.where(np.arange(50) < 20, 0, -1)
    found = detection_rates(
        expression, group, 1, [int(expression.resolution.row[0]), int(expression.resolution.row[5])]
    )
    raw = (adata.X[:, [0, 5]] > 0).toarray()
    np.testing.assert_allclose(found.inside[0], raw[:20].mean(axis=0))
    np.testing.assert_allclose(found.outside[0], raw[20:].mean(axis=0))
