"""A method that says 90 % should be right nine times in ten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.metrics.annotation import accuracy_by_coverage, expected_calibration_error


def test_error_of_four_cells_by_hand():
    confidence, right = np.array([0.95, 0.91, 0.55, 0.05]), np.array([True, False, True, False])
    # Bins of (0.9, 1]: mean 0.93 against 0.5; (0.5, 0.6]: 0.55 against 1; (0, 0.1]: 0.05 against 0.
    assert expected_calibration_error(confidence, right) == pytest.approx((2 * 0.43 + 0.45 + 0.05) / 4)


def test_sure_and_always_right_is_no_error():
    assert expected_calibration_error(np.ones(5), np.ones(5, dtype=bool)) == 0
    assert expected_calibration_error(np.array([1.0, np.nan]), np.array([True, False])) == 0
    assert np.isnan(expected_calibration_error(np.array([]), np.array([], dtype=bool)))


def test_accuracy_among_the_surest():
    confidence, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, False])
    found = accuracy_by_coverage(confidence, right)
    assert (found[0.5], found[1.0]) == (1.0, 0.5)
    # Three of four cells at 75 %; at 80 % a fifth of the last one more.
    assert found[0.8] == pytest.approx(2 / 3.2)


def test_a_cell_without_confidence_is_the_least_sure():
    assert accuracy_by_coverage(np.array([np.nan, 0.1]), np.array([False, True]))[0.5] == 1.0


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=30), st.randoms())
def test_the_order_of_the_cells_is_of_no_matter(cells, random):
    def found(pairs):
        confidence, right = zip(*pairs, strict=True)
        return accuracy_by_coverage(np.array(confidence), np.array(right))

    turned = list(cells)
    random.shuffle(turned)
    assert found(turned) == pytest.approx(found(cells))
    assert found(cells)[1.0] == pytest.approx(np.mean([right for _, right in cells]))
