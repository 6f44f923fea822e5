"""Nobody says which types there are."""

import numpy as np
import pandas as pd
import pytest

from okrcell.benchmarking.methods import Annotation
from okrcell.benchmarking.tasks import open_vocabulary as open_types
from okrcell.benchmarking.tasks.task import Item

MONOCYTE, CD14 = "CL:0000576", "CL:0001054"


def test_parent_and_child_are_within_one_step_and_no_answer_is_wrong(known, in_place):
    in_place(open_types)
    told = []

    def method(query, tissue, seed):
        told.append(tissue)
        assert query.obs.empty
        label = np.where(known.term == CD14, MONOCYTE, known.term)
        return Annotation(np.where(known.term == "CL:0000236", "", label), (MONOCYTE,))

    askings = open_types.items("pbmc3k", (0, 1))
    outcomes = list(open_types.evaluate(method, "pbmc3k", None, askings))
    assert [one.item for one in outcomes] == askings
    assert told == ["blood", None]
    scores = outcomes[0].scores
    assert scores["ontology_broader"] > 0.1
    assert scores["ontology_none"] > 0.1
    assert scores["ontology_within_one_step"] == pytest.approx(1 - scores["ontology_none"])
    # Six types, of which one is never answered: a mean over types does not ask how many cells each has.
    assert scores["within_one_step_of_types"] == pytest.approx(5 / 6)
    assert outcomes[0].cells < len(known)


def test_what_is_left_alone_is_asked(known, in_place):
    in_place(open_types)
    asked = []

    def method(query, tissue, seed):
        asked.append(tissue)
        return Annotation(known.term, tuple(set(known.term)))

    (one,) = open_types.evaluate(method, "pbmc3k", None, [Item(open_types.WITHOUT_TISSUE, 4)])
    assert (asked, one.item.seed, one.scores["ontology_right"]) == ([None], 4, pytest.approx(1))


@pytest.mark.parametrize(
    ("column", "said"), [(["blood", "blood", "skin"], "blood"), (["", "unknown"], None), ([None, "skin"], "skin")]
)
def test_the_tissue_is_that_of_most_cells(column, said):
    assert open_types.most_common_tissue(pd.DataFrame({"tissue": column})) == said
    assert open_types.most_common_tissue(pd.DataFrame({"organ": column})) is None
