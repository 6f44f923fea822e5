"""Rankings are joined as the textbook says."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from okrcell.knowledge.passage_index import Ranking, fuse_rankings, top_indices

ranked = st.lists(st.integers(0, 12), unique=True, max_size=8).map(lambda places: np.array(places, dtype=np.int64))
weighed = st.tuples(ranked, st.floats(0.0, 2.0)).map(lambda pair: Ranking(*pair))


@given(st.lists(weighed, min_size=1, max_size=4), st.floats(0.5, 100.0))
def test_the_sum_over_rankings_is_that_of_the_definition(rankings, k):
    sums: dict[int, float] = {}
    for places, weight in rankings:
        for rank, place in enumerate(places.tolist(), start=1):
            sums[place] = sums.get(place, 0.0) + weight / (k + rank)
    fused = fuse_rankings(rankings, k)
    assert fused.indices.tolist() == sorted(sums, key=lambda place: (-sums[place], place))
    assert all(
        math.isclose(score, sums[place]) for place, score in zip(fused.indices.tolist(), fused.score, strict=True)
    )


@given(st.lists(weighed, min_size=1, max_size=4))
def test_each_rank_is_the_place_in_its_own_ranking(rankings):
    fused = fuse_rankings(rankings, 60)
    for column, (places, _) in enumerate(rankings):
        expected = [places.tolist().index(place) + 1 if place in places else 0 for place in fused.indices.tolist()]
        assert fused.rank[:, column].tolist() == expected


@given(ranked, st.floats(0.0, 100.0))
def test_a_single_ranking_keeps_its_order(places, k):
    assert fuse_rankings([Ranking(places, 1.0)], k).indices.tolist() == places.tolist()


def test_a_ranking_without_weight_decides_nothing_between_those_that_others_found():
    one, other = np.array([4, 2, 7]), np.array([7, 2, 4])
    assert fuse_rankings([Ranking(one, 1.0), Ranking(other, 0.0)], 60).indices.tolist() == [4, 2, 7]


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    st.integers(1, 40),
    st.data(),
)
def test_the_best_are_those_of_a_full_sort(scores, depth, data):
    score = np.array(scores, dtype=np.float32)
    allowed = data.draw(st.none() | st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)).map(np.array))
    places = [place for place in range(len(scores)) if allowed is None or allowed[place]]
    expected = sorted(places, key=lambda place: (-scores[place], place))[:depth]
    assert top_indices(score, depth, allowed).tolist() == expected
