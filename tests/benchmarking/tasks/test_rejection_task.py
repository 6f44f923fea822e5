"""A type is taken out of the names that are offered."""

import numpy as np
import pytest

from okrcell.benchmarking.methods import Annotation
from okrcell.benchmarking.tasks import rejection as unknown
from okrcell.benchmarking.tasks.task import Item

CD4, NAIVE, MEMORY, B, NK = "CL:0000624", "CL:0000895", "CL:0000897", "CL:0000236", "CL:0000623"


def test_kinds_and_broader_types_leave_with_a_type_and_siblings_stay():
    term = np.repeat([CD4, NAIVE, MEMORY, B, NK, ""], 20)
    out = unknown.remaining_candidates(term)
    assert out[CD4] == [B, NK]
    assert out[NAIVE] == [B, NK, MEMORY]
    assert out[B] == [NK, CD4, NAIVE, MEMORY]


def test_a_rare_type_is_never_taken_out_and_two_names_stay():
    term = np.repeat([CD4, B, NK], [20, unknown.MIN_CELLS - 1, 20])
    assert unknown.remaining_candidates(term).keys() == {CD4, NK}
    assert unknown.remaining_candidates(np.repeat([CD4, B], 20)) == {}
    assert unknown.remaining_candidates(np.array(["", ""])) == {}


class Knowing:
    """Is sure where the right name is offered, and says so in one of three ways."""

    def __init__(self, known, how):
        self.known, self.how, self.requests = known, how, []

    def __call__(self, query, candidates, seed):
        self.requests.append(list(candidates))
        there = np.isin(self.known.term_ids, candidates)
        scores = np.tile([0.6, 0.5, *[0.0] * (len(candidates) - 2)], (len(there), 1))
        scores[there, 0] = 0.9
        label = np.full(len(there), candidates[0])
        if self.how == "confidence":
            return Annotation(label, tuple(candidates), scores, confidence=np.where(there, 0.2, 0.8))
        if self.how == "best":
            scores[:, 1] = scores[:, 0]
        if self.how == "margin":
            scores[~there] += 1
        return Annotation(label, tuple(candidates), scores if self.how != "names" else None)


@pytest.mark.parametrize(("how", "judged"), [("best", 1), ("margin", 1), ("confidence", 0), ("names", np.nan)])
def test_a_method_is_judged_by_its_word_else_by_what_serves_it_best(known, in_place, how, judged):
    in_place(unknown)
    method = Knowing(known, how)
    outcomes = list(unknown.evaluate(method, "pbmc3k", None, [Item("", 0), Item("", 1)]))
    assert len(method.requests) == len(set(known.term_ids.tolist()) - {""})
    assert [one.item.seed for one in outcomes] == [0, 1]
    for one in outcomes:
        np.testing.assert_equal(one.scores["auroc_unknown"], judged)
    if how == "confidence":
        assert outcomes[0].scores["auroc_by_best"] == 1


def test_cells_of_kin_have_no_say():
    term = np.repeat([CD4, NAIVE, B, NK], 20)
    offered = unknown.remaining_candidates(term)[CD4]
    # Naive CD4 T cells are kin of the missing type: however unsure of them, the answer stays perfect.
    sure = np.repeat([0.5, 0.0, 0.9, 0.9], 20)
    scores, detail = unknown._score(term, np.ones(80, dtype=bool), {CD4: (offered, {"best": sure})})
    assert scores["auroc_unknown"] == 1
    assert detail["by_type"] == {CD4: 1}
