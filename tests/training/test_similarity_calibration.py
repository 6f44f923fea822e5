"""The temperature is the one that the held-out cells speak for."""

import numpy as np
import pytest

from okrcell.training.calibration import _fit_similarity_temperature


@pytest.mark.parametrize("true", [0.03, 0.1, 0.4])
def test_the_temperature_that_made_the_answers_is_found(true):
    rng = np.random.default_rng(0)
    scores = rng.uniform(-0.5, 0.5, (4000, 6)).astype(np.float32)
    weight = np.exp(scores / true)
    chance = weight / weight.sum(axis=1, keepdims=True)
    truth = (chance.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    assert _fit_similarity_temperature([(scores, truth)]) == pytest.approx(true, rel=0.1)
