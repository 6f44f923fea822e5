"""Scores are what their names say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from okrcell.metrics.annotation import accuracy, auroc, macro_f1

PREDICTIONS = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=2, max_size=40)
ANSWERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(PREDICTIONS)
def test_auroc_equals_the_reference_with_ties(pairs):
    positive, score = (np.array(column) for column in zip(*pairs, strict=True))
    if positive.all() or not positive.any():
        assert np.isnan(auroc(positive, score))
    else:
        assert auroc(positive, score) == pytest.approx(roc_auc_score(positive, score))


def test_pairs_without_a_score_are_left_out():
    score = np.array([0.9, np.nan, 0.1, np.nan])
    assert auroc(np.array([True, False, False, True]), score) == 1.0


@given(ANSWERS)
def test_accuracy_and_macro_f1_equal_the_reference(pairs):
    truth, answer = (np.array(column) for column in zip(*pairs, strict=True))
    assert accuracy(truth, answer) == pytest.approx(accuracy_score(truth, answer))
    assert macro_f1(truth, answer, 5) == pytest.approx(f1_score(truth, answer, average="macro", zero_division=0))


def test_a_cell_without_an_answer_is_not_right():
    truth, answer = np.array([0, 0, 1]), np.array([0, -1, 1])
    assert accuracy(truth, answer) == pytest.approx(2 / 3)
    assert macro_f1(truth, answer, 2) == pytest.approx((2 / 3 + 1) / 2)
