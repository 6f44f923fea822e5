"""Annotation without candidates."""

import numpy as np
import pandas as pd
import pytest

from okrcell.benchmarking.methods import Annotation
from okrcell.benchmarking.tasks import open_vocabulary as open_types
from okrcell.benchmarking.tasks.task import Item

MONOCYTE, CD14 = "CL:0000576", "CL:0001054"


def test_parent_and_child_are_within_one_step_and_no_answer_is_wrong(known, in_place):
    in_place(open_types)
    tissues = []

    def method(query, tissue, seed):
        tissues.append(tissue)
        assert query.obs.empty
        label = np.where(known.term_ids == CD14, MONOCYTE, known.term_ids)
        return Annotation(np.where(known.term_ids == "CL:0000236", "", label), (MONOCYTE,))

    items = open_types.items("pbmc3k", (0, 1))
    results = list(open_types.evaluate(method, "pbmc3k", None, items))
    assert [result.item for result in results] == items
    assert tissues == ["blood", None]
    scores = results[0].scores
    assert scores["ontology_broader"] > 0.1
    assert scores["ontology_none"] > 0.1
    assert scores["ontology_within_one_step"] == pytest.approx(1 - scores["ontology_none"])
    # Six types, of which one is never answered: a mean over types does not ask how many cells each has.
    assert scores["within_one_step_of_types"] == pytest.approx(5 / 6)
    assert results[0].cells < len(known)


def test_what_is_left_alone_is_asked(known, in_place):
    in_place(open_types)
    tissues = []

    def method(query, tissue, seed):
        tissues.append(tissue)
        return Annotation(known.term_ids, tuple(set(known.term_ids)))

    (result,) = open_types.evaluate(method, "pbmc3k", None, [Item(open_types.WITHOUT_TISSUE, 4)])
    assert (tissues, result.item.seed, result.scores["ontology_right"]) == ([None], 4, pytest.approx(1))


@pytest.mark.parametrize(
    ("column", "expected"), [(["blood", "blood", "skin"], "blood"), (["", "unknown"], None), ([None, "skin"], "skin")]
)
def test_the_tissue_is_that_of_most_cells(column, expected):
    assert open_types.most_common_tissue(pd.DataFrame({"tissue": column})) == expected
    assert open_types.most_common_tissue(pd.DataFrame({"organ": column})) is None
