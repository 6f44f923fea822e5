"""Figures of a search are what can be counted by hand."""

from itertools import pairwise, permutations
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import ndcg_score

from okrcell.metrics.retrieval import hit_rate, ndcg, ontology_gain, rank, recall, reciprocal_rank

# Three questions, four items. The own item of the first comes first, of the second third, of the third last.
SIMILARITY = np.array([[0.9, 0.1, 0.2, 0.3], [0.8, 0.5, 0.7, 0.1], [0.4, 0.3, 0.1, 0.2]])
OWN = np.array([0, 1, 2])
RELEVANT = np.array([[True, True, False, False], [False, True, True, False], [False, False, True, True]])
RETRIEVALS = st.integers(1, 4).flatmap(
    lambda items: st.tuples(
        arrays(float, (1, items), elements=st.sampled_from([0.0, 0.5, 1.0])),
        arrays(bool, (1, items)),
        arrays(float, (1, items), elements=st.sampled_from([0.0, 1.0, 2.0])),
        st.integers(0, items - 1),
        st.integers(1, 5),
    )
)


def test_recall_counts_own_items_among_the_first():
    assert recall(SIMILARITY, OWN, 1).tolist() == [1, 0, 0]
    assert recall(SIMILARITY, OWN, 3).tolist() == [1, 1, 0]
    assert recall(SIMILARITY, OWN, 4).mean() == 1


def test_reciprocal_rank_is_one_over_the_rank():
    np.testing.assert_allclose(reciprocal_rank(SIMILARITY, OWN), [1, 1 / 3, 1 / 4])
    assert rank(SIMILARITY, OWN).tolist() == [1, 3, 4]


def test_any_text_of_the_type_is_a_hit():
    # The second question's third item is of its type and comes second; the third question's fourth comes third.
    assert hit_rate(SIMILARITY, RELEVANT, 1).tolist() == [1, 0, 0]
    assert hit_rate(SIMILARITY, RELEVANT, 2).tolist() == [1, 1, 0]
    assert hit_rate(SIMILARITY, RELEVANT, 3).tolist() == [1, 1, 1]


def test_discounted_gain_of_a_worked_case():
    # Items come in the order 0, 3, 2, 1 with gains 0.5, 0, 1, 0.25: DCG@3 = 0.5 / 1 + 0 + 1 / 2 = 1.
    # The best order is 1, 0.5, 0.25: 1 + 0.5 / log2(3) + 0.25 / 2.
    gain = np.array([[0.5, 0.25, 1.0, 0.0]])
    ideal = 1 + 0.5 / log2(3) + 0.25 / 2
    assert ndcg(SIMILARITY[:1], gain, 3)[0] == pytest.approx(1 / ideal)


def test_equal_scores_give_what_chance_gives():
    flat, own = np.zeros((5, 10)), np.arange(5)
    np.testing.assert_allclose(recall(flat, own, 1), 0.1)
    np.testing.assert_allclose(recall(flat, own, 5), 0.5)
    relevant = np.zeros((5, 10), dtype=bool)
    relevant[:, :2] = True
    # Of ten, two are right: neither is among three with the chance 8/10 * 7/9 * 6/8.
    np.testing.assert_allclose(hit_rate(flat, relevant, 3), 1 - (8 * 7 * 6) / (10 * 9 * 8))


@given(RETRIEVALS)
def test_ties_give_the_mean_over_all_orders(drawn):
    scores, relevant, gain, own, k = drawn
    orders = [
        order
        for order in permutations(range(scores.shape[1]))
        if all(scores[0, a] >= scores[0, b] for a, b in pairwise(order))
    ]
    places = [order.index(own) + 1 for order in orders]
    assert recall(scores, np.array([own]), k)[0] == pytest.approx(np.mean([place <= k for place in places]))
    assert reciprocal_rank(scores, np.array([own]))[0] == pytest.approx(np.mean([1 / place for place in places]))
    assert rank(scores, np.array([own]))[0] == pytest.approx(np.mean(places))
    if relevant.any():
        found = [relevant[0, list(order[:k])].any() for order in orders]
        assert hit_rate(scores, relevant, k)[0] == pytest.approx(np.mean(found))
    if gain.any() and scores.shape[1] > 1:
        assert ndcg(scores, gain, k)[0] == pytest.approx(ndcg_score(gain, scores, k=k))


def test_what_has_no_score_is_found_last_and_finds_nothing():
    scores = np.array([[np.nan, 0.1, 0.2], [np.nan, np.nan, np.nan], [0.3, np.nan, 0.1]])
    own = np.array([1, 0, 0])
    assert recall(scores, own, 1).tolist() == [0, 0, 1]
    assert recall(scores, own, 3).tolist() == [1, 0, 1]
    assert reciprocal_rank(scores, own).tolist() == [0.5, 0, 1]
    assert rank(scores, own).tolist() == [2, 3, 1]
    assert hit_rate(scores, np.eye(3, dtype=bool)[own], 3).tolist() == [1, 0, 1]
    assert ndcg(scores, np.eye(3)[own], 3)[1] == 0


def test_a_question_without_an_answer_is_not_scored():
    nothing = np.zeros((1, 4))
    assert np.isnan(hit_rate(SIMILARITY[:1], nothing.astype(bool), 1)).all()
    assert np.isnan(ndcg(SIMILARITY[:1], nothing, 1)).all()


def test_a_step_in_the_ontology_halves_the_worth():
    b_cell, cd19_positive, lymphocyte = "CL:0000236", "CL:0001201", "CL:0000945"
    worth = ontology_gain([b_cell], [b_cell, cd19_positive, lymphocyte, "CL:nothing"])
    # CD19-positive B cells are a kind of B cell, and B cells a kind of lymphocyte of B lineage.
    assert worth.tolist() == [[1.0, 0.5, 0.5, 0.0]]
    assert ontology_gain([lymphocyte], [cd19_positive]).item() == 0.25
