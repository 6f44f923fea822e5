"""Intervals over seeds are those of Student's t."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from okrcell.metrics.intervals import estimate


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_the_interval_equals_the_reference(values):
    found = estimate(values)
    spread = np.std(values, ddof=1)
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), max(spread, 1e-12) / np.sqrt(len(values)))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.sd == pytest.approx(spread)


def test_one_seed_has_a_mean_and_no_interval():
    found = estimate([0.4])
    assert (found.mean, found.sd, found.low, found.high, found.n) == (0.4, None, None, None, 1)
    assert not found.excludes_zero


def test_what_is_not_there_is_left_out():
    assert estimate([]) is None
    assert estimate([None, float("nan")]) is None
    assert estimate([None, 1.0, 3.0]).mean == 2.0


def test_an_interval_on_one_side_of_zero_excludes_it():
    assert estimate([5.0, 5.1, 4.9]).excludes_zero
    assert estimate([-5.0, -5.1, -4.9]).excludes_zero
    assert not estimate([-5.0, 5.0]).excludes_zero
