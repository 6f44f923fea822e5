"""Data sets and counts of the task zero_shot."""

from pathlib import Path

import numpy as np

from okrcell.benchmarking.datasets.datasets import cards, load_dataset
from okrcell.benchmarking.datasets.splits import frozen_digests, full_subset
from okrcell.benchmarking.methods import Annotation
from okrcell.benchmarking.tasks import open_vocabulary, rejection, retrieval, robustness, unseen_types, zero_shot
from okrcell.benchmarking.tasks.task import Item

B = "CL:0000236"


def test_the_former_sets_come_first_and_the_mouse_apart():
    assert (
        zero_shot.SETS[:6]
        == zero_shot.FIRST_SETS
        == ("pbmc3k", "kang_ifnb", "kang_8donors", "segerstolpe", "xin", "wang")
    )
    assert len(zero_shot.HUMAN_SETS) == 13
    assert [name for name in zero_shot.SETS if cards()[name].species == "mouse"] == ["tabula_muris_marrow"]
    assert zero_shot.items("tabula_muris_marrow", (3,)) == [Item("mouse", 3)]
    assert zero_shot.items("grun", (3,)) == [Item("", 3)]
    assert open_vocabulary.SETS == rejection.SETS == zero_shot.HUMAN_SETS
    # The list of left-out types and the folds of retrieval are frozen on the first six.
    assert unseen_types.SETS == robustness.SETS == retrieval.datasets_of("pool") == zero_shot.FIRST_SETS


def test_further_sets_have_types_and_frozen_draws(shared_data: Path):
    for name in zero_shot.SETS[6:]:
        dataset = load_dataset(name, shared_data)
        assert len(set(dataset.term_ids.tolist()) - {""}) >= 2
        assert "all" in frozen_digests()[name]
        assert 0 < len(full_subset(dataset)) <= 3000


def test_cells_are_counted_by_type(known, in_place):
    in_place(zero_shot)
    monocyte = "CL:0001054"

    def method(query, candidates, seed):
        return Annotation(np.where(known.term_ids == B, monocyte, known.term_ids), tuple(candidates))

    (result,) = zero_shot.evaluate(method, "pbmc3k", None, [Item("", 0)])
    counts = result.detail["counts_by_type"]
    n_b, n_monocytes = counts[B][0], counts[monocyte][0]
    assert counts[B] == (n_b, 0, 0)
    assert counts[monocyte] == (n_monocytes, n_monocytes + n_b, n_monocytes)
    assert sum(n_cells for n_cells, _, _ in counts.values()) == result.cells
