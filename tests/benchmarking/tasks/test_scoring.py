"""Scores of predicted labels."""

import numpy as np
import pytest

from okrcell.benchmarking.methods import Annotation
from okrcell.benchmarking.tasks.scoring import by_type, confidence_of, score_annotation

B, NK = "CL:0000236", "CL:0000623"
TRUTH = np.array([B, NK, NK, B])
LABEL = np.array([B, NK, B, ""])
SHARES = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [np.nan, np.nan]])


def test_what_a_method_says_of_its_own_sureness_outranks_its_scores():
    plain = Annotation(LABEL, (B, NK), SHARES, probabilities=True)
    np.testing.assert_allclose(confidence_of(plain), [0.6, 0.7, 0.9, np.nan])
    own = Annotation(LABEL, (B, NK), SHARES, probabilities=True, confidence=np.array([0.5, 0.5, 0.0, 0.9]))
    np.testing.assert_allclose(confidence_of(own), [0.5, 0.5, 0.0, np.nan])
    assert confidence_of(Annotation(LABEL, (B, NK), SHARES)) is None


def test_calibration_is_judged_by_confidence_also_without_probabilities():
    scores, detail = score_annotation(
        TRUTH, Annotation(LABEL, (B, NK), None, confidence=np.array([1.0, 1.0, 0.0, 0.0]))
    )
    assert scores["ece"] == 0
    assert scores["accuracy_surest_half"] == 1
    assert detail["accuracy_by_coverage"]["1"] == pytest.approx(0.5)
    assert "ece" not in score_annotation(TRUTH, Annotation(LABEL, (B, NK), SHARES))[0]


def test_shares_are_told_type_by_type():
    assert by_type(TRUTH, LABEL) == {B: 0.5, NK: 0.5}
    assert by_type(TRUTH, LABEL, lambda true, given: float((given == "").mean())) == {B: 0.5, NK: 0}
