"""A candidate is believed as far as nothing that nobody asked for fits better."""

import numpy as np
import pytest

from okrcell.errors import CheckpointError
from okrcell.model.marker_scores import confidence_from_margin, log_odds, open_set_margin, out_of_candidate_types

B_CELL, T_CELL, CD4, HEPATOCYTE, LYMPHOCYTE = "CL:0000236", "CL:0000084", "CL:0000624", "CL:0000182", "CL:0000542"


def test_kin_of_a_candidate_is_no_rival():
    known = [B_CELL, T_CELL, CD4, HEPATOCYTE, LYMPHOCYTE]
    assert out_of_candidate_types(known, [T_CELL]).tolist() == [True, False, False, True, False]
    assert out_of_candidate_types(known, [CD4, B_CELL]).tolist() == [False, False, False, True, False]
    assert out_of_candidate_types(known, [""]).all()


def test_the_lead_is_over_the_best_rival_alone():
    scores = np.array([[0.5, 3.0, 1.0], [0.0, 9.0, 2.5]], dtype=np.float32)
    found = open_set_margin(np.array([2.0, 2.0], dtype=np.float32), scores[:, [0, 2]])
    np.testing.assert_allclose(found, [1.0, -0.5])


def test_without_rivals_nothing_leads_and_a_cell_without_expression_has_no_lead():
    found = open_set_margin(np.array([2.0, np.nan], dtype=np.float32), np.zeros((2, 0), np.float32))
    np.testing.assert_array_equal(found, [0.0, np.nan])
    found = open_set_margin(np.array([np.nan], dtype=np.float32), np.array([[np.nan]], np.float32))
    assert np.isnan(found[0])


def test_sureness_is_a_logistic_of_share_and_root_of_lead():
    learned = {"top": 0.9, "lead": 0.3, "bias": -0.2}
    share, lead = np.array([0.5, 0.5, 0.9, np.nan]), np.array([0.0, 2.0, 2.0, np.nan])
    found = confidence_from_margin(share, lead, learned)
    np.testing.assert_allclose(found[:2], 1 / (1 + np.exp([0.2, 0.2 - 0.3 * 2**0.5])), rtol=1e-5)
    assert found[0] < found[1] < found[2] < 1
    assert np.isnan(found[3])


def test_nothing_is_certain():
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


@pytest.mark.parametrize(
    "damaged", [{"top": 1.0}, {"top": "much", "lead": 0, "bias": 0}, {"top": None, "lead": 0, "bias": 0}]
)
def test_damaged_calibration_is_told(damaged):
    with pytest.raises(CheckpointError, match="calibration is damaged"):
        confidence_from_margin(np.array([0.5]), np.array([0.0]), damaged)
