"""Names are counted as one would by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from okrcell.metrics.annotation import annotation_scores, mean_auroc


def test_accuracy_and_macro_f1_of_six_cells():
    truth = np.array(["T", "T", "T", "B", "B", "NK"])
    label = np.array(["T", "T", "B", "B", "", "T"])
    found = annotation_scores(truth, label)
    assert found.accuracy == pytest.approx(3 / 6)
    # T: 2 right of 3, given 3 times; B: 1 of 2, given 2 times; NK: none. No answer is no name.
    assert found.macro_f1 == pytest.approx((2 * 2 / 6 + 2 * 1 / 4 + 0) / 3)
    assert found.macro_f1 == pytest.approx(f1_score(truth, label, labels=["T", "B", "NK"], average="macro"))


def test_a_name_of_no_cell_costs():
    truth, label = np.array(["T", "T"]), np.array(["T", "B"])
    assert annotation_scores(truth, label).macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_auroc_is_the_mean_over_types():
    truth = np.array(["T", "T", "B"])
    scores = np.array([[0.9, 0.1], [0.2, 0.3], [0.5, 0.2]])
    # T: cells 0 and 1 against 2: one of two pairs; B: cell 2 against 0 and 1: one of two pairs.
    assert mean_auroc(truth, ("T", "B"), scores) == pytest.approx(0.5)
    assert mean_auroc(truth, ("T", "B", "NK"), np.hstack([scores, scores[:, :1]])) == pytest.approx(0.5)
    assert np.isnan(mean_auroc(truth[:2], ("T",), scores[:2, :1]))
