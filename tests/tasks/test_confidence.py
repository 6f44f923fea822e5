"""Confidence, and back-off to broader terms."""

import numpy as np
import pytest

from okrcell.errors import CheckpointError
from okrcell.tasks.candidates import parse_candidates
from okrcell.tasks.confidence import (
    DEFAULT_TEMPERATURE,
    calibrated_temperature,
    confidence_coefficients,
    estimate_confidence,
    predict,
    probabilities,
)

T_CELLS_AND_MORE = parse_candidates(
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
    found = predict(np.array([[0.6, 0.1, 0.1, 0.1, 0.1]]), T_CELLS_AND_MORE)
    assert (found.best_idx[0], found.status[0], found.broader_id[0]) == (0, "confident", "")
    assert found.confidence[0] == pytest.approx(0.6)


def test_two_kinds_of_t_cell_in_doubt_are_surely_a_t_cell():
    found = predict(np.array([[0.4, 0.35, 0.1, 0.1, 0.05]]), T_CELLS_AND_MORE)
    assert found.status[0] == "broad"
    # The deepest common ancestor of both that has none of the other candidates as descendant.
    assert found.broader_id[0] == "CL:0000791"
    assert found.best_idx[0] == 0


def test_a_branch_that_holds_all_candidates_is_no_answer():
    candidates = parse_candidates(
        ["CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell", "gamma-delta T cell"]
    )
    found = predict(np.array([[0.3, 0.4, 0.3]]), candidates)
    assert found.broader_id[0] != "CL:0000084"


def test_doubt_over_unlike_types_is_unknown():
    candidates = parse_candidates(["T cell", "B cell", "a cell that glows", "a cell that hums"])
    found = predict(np.array([[0.24, 0.24, 0.26, 0.26]]), candidates)
    assert (found.status[0], found.broader_id[0]) == ("unknown", "")


def test_a_cell_without_expression_is_unknown_with_no_confidence():
    found = predict(np.array([[np.nan] * 5, [1, 0, 0, 0, 0]]), T_CELLS_AND_MORE)
    assert found.status.tolist() == ["unknown", "confident"]
    assert found.confidence.tolist() == [0, 1]


def test_fewer_genes_give_a_higher_temperature_between_the_sizes_that_were_fitted():
    facts = {"calibration": {"temperature_by_genes": {"20000": 0.1, "200": 0.3}}}
    assert calibrated_temperature(facts, 20_000) == pytest.approx(0.1)
    assert calibrated_temperature(facts, 50) == pytest.approx(0.3)
    assert calibrated_temperature(facts, 2_000) == pytest.approx(np.sqrt(0.1 * 0.3))
    assert calibrated_temperature({}, 2_000) == DEFAULT_TEMPERATURE


LEARNED = {"top": 1.0, "lead": 1.0, "bias": 0.0}
BROAD_AND_NARROW = parse_candidates(
    ["T cell", "CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell", "B cell"]
)


def test_a_rival_that_fits_better_takes_confidence_away():
    share = np.array([[0.9, 0.1, 0, 0, 0]] * 2)
    ahead, behind = estimate_confidence(share, T_CELLS_AND_MORE, np.array([1.0, -16.0]), LEARNED)
    assert ahead > 0.9 > 0.5 > behind
    found = predict(share, T_CELLS_AND_MORE, np.array([ahead, behind]))
    assert found.status.tolist() == ["confident", "unknown"]
    assert found.best_idx.tolist() == [0, 0]


def test_one_candidate_is_doubted_when_another_type_fits_better():
    found = estimate_confidence(np.array([[1.0], [1.0]]), T_CELLS_AND_MORE[:1], np.array([3.0, -30.0]), LEARNED)
    assert found[0] > 0.5 > found[1]


def test_a_model_that_learned_no_calibration_gives_the_share():
    share = np.array([[0.7, 0.1, 0.1, 0.1, 0]])
    assert estimate_confidence(share, T_CELLS_AND_MORE, np.array([-9.0]), None)[0] == pytest.approx(0.7)
    assert estimate_confidence(share, T_CELLS_AND_MORE, None, LEARNED)[0] == pytest.approx(0.7)


def test_a_broad_candidate_is_right_of_its_kinds_as_well():
    share = np.array([[0.4, 0.3, 0.25, 0.05], [0.1, 0.6, 0.1, 0.2]])
    sure = estimate_confidence(share, BROAD_AND_NARROW, None, None)
    np.testing.assert_allclose(sure, [0.95, 0.6], rtol=1e-6)
    assert predict(share, BROAD_AND_NARROW, sure).status.tolist() == ["confident", "confident"]


def test_kinds_in_doubt_beside_their_parent_back_off_to_it():
    share = np.array([[0.3, 0.36, 0.09, 0.25]])
    found = predict(share, BROAD_AND_NARROW, estimate_confidence(share, BROAD_AND_NARROW, None, None))
    assert (found.best_idx[0], found.status[0], found.broader_id[0]) == (1, "broad", "CL:0000084")


def test_what_speaks_against_all_candidates_speaks_against_their_parent_too():
    share = np.array([[0.45, 0.45, 0.04, 0.03, 0.03]])
    sure = estimate_confidence(share, T_CELLS_AND_MORE, np.array([-25.0]), LEARNED)
    assert predict(share, T_CELLS_AND_MORE, sure).status[0] == "unknown"
    assert predict(share, T_CELLS_AND_MORE).status[0] == "broad"


def test_coefficients_between_two_panel_sizes_are_interpolated_on_a_log_scale():
    table = {"100": {"top": 1.0, "lead": 2.0, "bias": 0.0}, "10000": {"top": 3.0, "lead": 0.0, "bias": 1.0}}
    facts = {"calibration": {"right_by_genes": table}}
    assert confidence_coefficients(facts, 1000) == pytest.approx({"top": 2.0, "lead": 1.0, "bias": 0.5})
    assert confidence_coefficients(facts, 5) == table["100"]
    assert confidence_coefficients(facts, 30_000) == table["10000"]
    assert confidence_coefficients({"calibration": {"right": LEARNED}}, 1000) == LEARNED
    assert confidence_coefficients({}, 1000) is None


@pytest.mark.parametrize("table", [{"many": LEARNED}, {"100": {"top": 1.0}}, {"100": {**LEARNED, "top": "x"}}, ["100"]])
def test_damaged_coefficients_are_refused(table):
    with pytest.raises(CheckpointError, match="calibration is damaged"):
        confidence_coefficients({"calibration": {"right_by_genes": table}}, 1000)
