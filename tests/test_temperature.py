"""The temperature with the highest likelihood of the labels is found."""

from functools import partial

import numpy as np
import pytest

from okrcell.temperature import fit_temperature, label_log_probs, nll
from okrcell.training.calibration import EVIDENCE_TEMPERATURE_RANGE, SIMILARITY_TEMPERATURE_RANGE


def fit(trials, bounds=EVIDENCE_TEMPERATURE_RANGE):
    return fit_temperature(partial(nll, trials), bounds)


@pytest.mark.parametrize("true", [0.4, 3.0, 20.0])
def test_the_temperature_of_scores_is_found(true):
    rng = np.random.default_rng(0)
    scores = rng.normal(scale=3 * true, size=(4000, 6))
    weight = np.exp((scores - scores.max(axis=1, keepdims=True)) / true)
    truth = ((weight / weight.sum(axis=1, keepdims=True)).cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    found = fit([(scores, truth)])
    assert found == pytest.approx(true, rel=0.1)
    # Cells of unknown type, and those that a panel leaves empty, have no say.
    more = np.concatenate([scores, np.full((500, 6), np.nan), rng.normal(size=(500, 6))])
    known = np.concatenate([truth, np.zeros(500, dtype=int), np.full(500, -1)])
    assert fit([(more, known)]) == pytest.approx(found)
    assert fit([(scores, truth), (scores[:0], truth[:0])]) == pytest.approx(found)


def test_every_study_has_the_same_say_in_the_temperature():
    rng = np.random.default_rng(0)
    sure, wrong = rng.normal(size=(50, 3)) * 4, rng.normal(size=(50, 3)) * 4
    trials = [(sure, sure.argmax(axis=1)), (wrong, rng.integers(0, 3, 50))]
    many = [(np.tile(sure, (40, 1)), np.tile(sure.argmax(axis=1), 40)), trials[1]]
    assert EVIDENCE_TEMPERATURE_RANGE[0] < fit(trials) == pytest.approx(fit(many))


@pytest.mark.parametrize("true", [0.03, 0.1, 0.4])
def test_the_temperature_of_similarities_is_found(true):
    rng = np.random.default_rng(0)
    scores = rng.uniform(-0.5, 0.5, (4000, 6)).astype(np.float32)
    weight = np.exp(scores / true)
    probability = weight / weight.sum(axis=1, keepdims=True)
    truth = (probability.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    assert fit([(scores, truth)], SIMILARITY_TEMPERATURE_RANGE) == pytest.approx(true, rel=0.1)


def test_label_log_probs_are_those_of_the_softmax():
    logits = np.array([[0.0, np.log(3)], [0.0, 0.0]])
    np.testing.assert_allclose(np.exp(label_log_probs(logits, np.array([1, 0]))), [0.75, 0.5])
