"""Competing types outside the candidates."""

import numpy as np

from okrcell.tasks.candidates import Candidate
from okrcell.tasks.group_annotation import competing_types

AXES = np.eye(3, dtype=np.float32)
CANDIDATES = [Candidate("hepatocyte", "CL:0000182", ()), Candidate("a cell that shines", "", ())]
KNOWN = [Candidate("hepatocyte", "CL:0000182", ()), Candidate("B cell", "CL:0000236", ())]


def test_a_far_better_known_type_makes_the_candidates_doubtful():
    # Two of three cells are near the B cell, one near the hepatocyte.
    cells = np.array([[0.1, 0, 0.9], [0.3, 0, 0.9], [1, 0, 0]], dtype=np.float32)
    (rival,) = competing_types(cells, np.zeros(3, dtype=int), 1, CANDIDATES[:1], AXES[:1], KNOWN, AXES[[0, 2]])
    assert (rival.name, rival.term_id, rival.dominates) == ("B cell", "CL:0000236", True)
    assert rival.fraction_doubted == np.float64(2 / 3)
    np.testing.assert_allclose(rival.similarity, 0.6, rtol=1e-6)


def test_a_type_that_is_a_little_better_does_not():
    cells = np.array([[0.6, 0, 0.8]], dtype=np.float32)
    (rival,) = competing_types(cells, np.zeros(1, dtype=int), 1, CANDIDATES[:1], AXES[:1], KNOWN, AXES[[0, 2]])
    assert rival.fraction_doubted == 0


def test_free_text_that_names_no_type_is_not_doubted():
    cells = np.array([[0.0, 0.1, 0.9]], dtype=np.float32)
    (rival,) = competing_types(cells, np.zeros(1, dtype=int), 1, CANDIDATES, AXES[:2], KNOWN, AXES[[0, 2]])
    assert not rival.dominates


def test_cells_without_expression_or_group_have_no_say():
    cells = np.array([[np.nan] * 3, [1, 0, 0]], dtype=np.float32)
    assert competing_types(cells, np.array([0, -1]), 1, CANDIDATES, AXES[:2], KNOWN, AXES[[0, 2]]) == (None,)
