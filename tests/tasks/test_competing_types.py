"""Types outside the candidates, and the votes of groups."""

from types import SimpleNamespace

import numpy as np
import pytest

from okrcell.tasks.candidates import Candidate
from okrcell.tasks.confidence import predict
from okrcell.tasks.group_annotation import competing_types, group_votes

KNOWN = ("CL:0000182", "CL:0000236", "CL:0000576")
CANDIDATES = (
    Candidate("CD4 T cell", "CL:0000624", ()),
    Candidate("CD8 T cell", "CL:0000625", ()),
    Candidate("hepatocyte", "CL:0000182", ()),
)


def predictions(probability, confidence, competitor=None):
    probability = np.array(probability, dtype=np.float32)
    prediction = predict(probability, CANDIDATES, np.array(confidence, dtype=np.float32))
    competitor = None if competitor is None else np.array(competitor, dtype=np.int32)
    return SimpleNamespace(candidates=CANDIDATES, probability=probability, prediction=prediction, competitor=competitor)


def vote_of(predicted):
    n_cells = len(predicted.probability)
    return group_votes(predicted, np.zeros((n_cells, 3), np.float32), np.zeros(n_cells, dtype=int), 1)[0]


def test_unknown_cells_name_the_type_outside_the_candidates_that_they_resemble():
    predicted = predictions([[0, 0, 1]] * 3, [0.1, 0.1, 0.9], competitor=[1, 1, 2])
    (competitor,) = competing_types(predicted, np.zeros(3, dtype=int), 1, KNOWN)
    assert (competitor.name, competitor.term_id, competitor.dominates) == ("B cell", "CL:0000236", True)
    assert competitor.fraction_unknown == pytest.approx(2 / 3)


def test_confident_cells_have_no_competing_type():
    predicted = predictions([[0, 0, 1]] * 2, [0.9, 0.9], competitor=[1, 1])
    assert competing_types(predicted, np.zeros(2, dtype=int), 1, KNOWN) == (None,)


def test_cells_without_expression_or_group_do_not_vote():
    predicted = predictions([[np.nan] * 3, [0, 0, 1]], [0, 0.1], competitor=[-1, 1])
    assert competing_types(predicted, np.array([0, -1]), 1, KNOWN) == (None,)
    (vote,) = group_votes(predicted, np.zeros((2, 3), np.float32), np.array([0, -1]), 1)
    assert (vote.status, vote.n_measured) == ("unknown", 0)


def test_a_group_has_the_type_that_most_of_its_cells_are_confident_of():
    vote = vote_of(predictions([[1, 0, 0]] * 2 + [[0, 1, 0]], [0.9, 0.9, 0.9]))
    assert (vote.status, vote.term_id) == ("confident", "CL:0000624")
    assert vote.fraction == pytest.approx(2 / 3)


def test_a_group_of_two_types_and_of_broad_cells_has_their_common_ancestor():
    # Two confident cells of different types, and one that is broad: all are T cells.
    vote = vote_of(predictions([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], [0.9, 0.9, 0.49]))
    assert vote.status == "broad"
    assert "T cell" in vote.name


def test_a_group_is_unknown_if_its_cells_are_however_much_they_agree():
    vote = vote_of(predictions([[0, 0, 1]] * 3, [0.1, 0.1, 0.1]))
    assert (vote.status, vote.name, vote.fraction) == ("unknown", "unknown", 1.0)
