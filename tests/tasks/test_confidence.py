"""Confidence, and back-off to broader terms."""

import numpy as np
import pytest

from okrcell.tasks.candidates import candidates
from okrcell.tasks.confidence import UNCALIBRATED, answer, certainty, probabilities, temperature

T_CELLS_AND_MORE = candidates(
    [
        "CD4-positive, alpha-beta T cell",
        "CD8-positive, alpha-beta T cell",
        "B cell",
        "monocyte",
        "something else entirely",
    ]
)


def test_probabilities_sum_to_one_and_follow_the_scores():
    scores = np.array([[0.1, 0.3, 0.2], [0.9, -0.9, 0.0]])
    found = probabilities(scores, 0.1)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0], np.exp([1, 3, 2]) / np.exp([1, 3, 2]).sum())


def test_one_candidate_is_certain_and_an_empty_cell_is_not_answered():
    np.testing.assert_array_equal(probabilities(np.array([[0.2]]), 0.1), [[1.0]])
    assert np.isnan(probabilities(np.array([[np.nan, np.nan]]), 0.1)).all()


def test_a_clear_answer_is_confident():
    found = answer(np.array([[0.6, 0.1, 0.1, 0.1, 0.1]]), T_CELLS_AND_MORE)
    assert (found.best[0], found.status[0], found.broader[0]) == (0, "confident", "")
    assert found.confidence[0] == pytest.approx(0.6)


def test_two_kinds_of_t_cell_in_doubt_are_surely_a_t_cell():
    found = answer(np.array([[0.4, 0.35, 0.1, 0.1, 0.05]]), T_CELLS_AND_MORE)
    assert found.status[0] == "broad"
    # The deepest common ancestor of both that has none of the other candidates as descendant.
    assert found.broader[0] == "CL:0000791"
    assert found.best[0] == 0


def test_a_branch_that_holds_all_candidates_is_no_answer():
    some = candidates(["CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell", "gamma-delta T cell"])
    found = answer(np.array([[0.3, 0.4, 0.3]]), some)
    assert found.broader[0] != "CL:0000084"


def test_doubt_over_unlike_types_is_unknown():
    some = candidates(["T cell", "B cell", "a cell that glows", "a cell that hums"])
    found = answer(np.array([[0.24, 0.24, 0.26, 0.26]]), some)
    assert (found.status[0], found.broader[0]) == ("unknown", "")


def test_a_cell_without_expression_is_unknown_with_no_confidence():
    found = answer(np.array([[np.nan] * 5, [1, 0, 0, 0, 0]]), T_CELLS_AND_MORE)
    assert found.status.tolist() == ["unknown", "confident"]
    assert found.confidence.tolist() == [0, 1]


def test_fewer_genes_give_a_higher_temperature_between_the_sizes_that_were_fitted():
    facts = {"calibration": {"temperature_by_genes": {"20000": 0.1, "200": 0.3}}}
    assert temperature(facts, 20_000) == pytest.approx(0.1)
    assert temperature(facts, 50) == pytest.approx(0.3)
    assert temperature(facts, 2_000) == pytest.approx(np.sqrt(0.1 * 0.3))
    assert temperature({}, 2_000) == UNCALIBRATED


LEARNED = {"calibration": {"right": {"top": 1.0, "lead": 1.0, "bias": 0.0}}}
BROAD_AND_NARROW = candidates(
    ["T cell", "CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell", "B cell"]
)


def test_a_rival_that_fits_better_takes_confidence_away():
    share = np.array([[0.9, 0.1, 0, 0, 0]] * 2)
    ahead, behind = certainty(share, T_CELLS_AND_MORE, np.array([1.0, -16.0]), LEARNED)
    assert ahead > 0.9 > 0.5 > behind
    found = answer(share, T_CELLS_AND_MORE, np.array([ahead, behind]))
    assert found.status.tolist() == ["confident", "unknown"]
    assert found.best.tolist() == [0, 0]


def test_one_candidate_is_doubted_when_another_type_fits_better():
    found = certainty(np.array([[1.0], [1.0]]), T_CELLS_AND_MORE[:1], np.array([3.0, -30.0]), LEARNED)
    assert found[0] > 0.5 > found[1]


def test_a_model_that_learned_no_calibration_gives_the_share():
    share = np.array([[0.7, 0.1, 0.1, 0.1, 0]])
    assert certainty(share, T_CELLS_AND_MORE, np.array([-9.0]), {})[0] == pytest.approx(0.7)
    assert certainty(share, T_CELLS_AND_MORE, None, LEARNED)[0] == pytest.approx(0.7)


def test_a_broad_candidate_is_right_of_its_kinds_as_well():
    share = np.array([[0.4, 0.3, 0.25, 0.05], [0.1, 0.6, 0.1, 0.2]])
    sure = certainty(share, BROAD_AND_NARROW, None, {})
    np.testing.assert_allclose(sure, [0.95, 0.6], rtol=1e-6)
    assert answer(share, BROAD_AND_NARROW, sure).status.tolist() == ["confident", "confident"]


def test_kinds_in_doubt_beside_their_parent_back_off_to_it():
    share = np.array([[0.3, 0.36, 0.09, 0.25]])
    found = answer(share, BROAD_AND_NARROW, certainty(share, BROAD_AND_NARROW, None, {}))
    assert (found.best[0], found.status[0], found.broader[0]) == (1, "broad", "CL:0000084")


def test_what_speaks_against_all_candidates_speaks_against_their_parent_too():
    share = np.array([[0.45, 0.45, 0.04, 0.03, 0.03]])
    sure = certainty(share, T_CELLS_AND_MORE, np.array([-25.0]), LEARNED)
    assert answer(share, T_CELLS_AND_MORE, sure).status[0] == "unknown"
    assert answer(share, T_CELLS_AND_MORE).status[0] == "broad"
