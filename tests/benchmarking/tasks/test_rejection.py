"""Whether a method notices that the right name is missing."""

import numpy as np
import pytest

from okrcell.benchmarking.methods import Annotation
from okrcell.benchmarking.tasks.rejection import confidence_measures, known_type_auroc
from okrcell.metrics.annotation import f1_by_type

SCORES = np.array([[3.0, 1.0, 0.0], [2.0, 1.9, 0.0], [np.nan] * 3, [5.0, -np.inf, -np.inf]])


def named(**more):
    return Annotation(np.array(["x", "x", "", "x"]), ("x", "y", "z"), SCORES, **more)


def test_who_is_surer_where_the_type_was_offered_knows():
    assert known_type_auroc(np.array([0.9, 0.8, 0.1]), np.array([True, True, False])) == 1
    assert known_type_auroc(np.array([0.5, 0.5]), np.array([True, False])) == 0.5


def test_no_answer_is_the_least_sure():
    assert known_type_auroc(np.array([0.1, np.nan]), np.array([True, False])) == 1
    assert np.isnan(known_type_auroc(np.array([0.1, 0.2]), np.array([True, True])))


def test_scores_give_the_best_and_the_margin():
    ways = confidence_measures(named())
    assert ways.keys() == {"best", "margin"}
    np.testing.assert_allclose(ways["best"], [3, 2, np.nan, 5])
    np.testing.assert_allclose(ways["margin"], [2, 0.1, np.nan, np.inf])


def test_what_a_method_says_itself_comes_first():
    ways = confidence_measures(named(confidence=np.array([0.9, 0.4, 0.3, 1])))
    np.testing.assert_allclose(ways["confidence"], [0.9, 0.4, np.nan, 1])
    assert next(iter(ways)) == "confidence"


def test_names_alone_are_no_sureness():
    assert confidence_measures(Annotation(np.array(["x"]), ("x", "y"))) == {}
    assert confidence_measures(Annotation(np.array(["x"]), ("x",), np.array([[1.0]]))) == {}


def test_cells_of_other_types_count_against_a_name_that_they_were_given():
    truth, label = np.array(["a", "a", "b", "b"]), np.array(["a", "b", "a", "b"])
    assert f1_by_type(truth, label, ["a"]) == pytest.approx({"a": 0.5})
    assert f1_by_type(truth, np.array(["a", "a", "b", ""]), ["a", "b"]) == pytest.approx({"a": 1, "b": 2 / 3})
