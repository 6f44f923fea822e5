"""The cells to annotate lose entries, the reference does not."""

import numpy as np
import pytest

from okrcell.benchmarking.methods import Annotation
from okrcell.benchmarking.tasks import annotation_dropout
from okrcell.benchmarking.tasks.task import get_task

B = "CL:0000236"


def test_only_the_query_loses_entries_and_types_that_the_reference_lacks_are_not_scored(known, monkeypatch):
    reference = known.subset(np.flatnonzero((known.term_ids != "") & (known.term_ids != B)))
    query = known.subset(np.flatnonzero(known.term_ids != ""))
    sides = iter([reference, query])
    monkeypatch.setattr(annotation_dropout, "load_side", lambda *_: next(sides))
    n_entries = []

    def method(reference_cells, labels, cells, seed):
        assert (reference_cells.X != reference.cells.X).nnz == 0
        assert (labels == reference.term_ids).all()
        n_entries.append(cells.X.nnz)
        return Annotation(query.term_ids, tuple(set(labels)))

    items = annotation_dropout.items("xin to wang", (0, 1))
    results = list(annotation_dropout.evaluate(method, "xin to wang", None, items))
    assert [result.item for result in results] == items
    remaining = np.array(n_entries) / query.cells.X.nnz
    assert remaining == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5], abs=0.01)
    assert all(result.scores["accuracy"] == 1 for result in results)
    assert results[0].cells < 0.8 * len(query)  # B cells


def test_the_pairs_are_those_of_annotation():
    assert get_task("annotation_dropout").SETS == get_task("annotation").SETS
