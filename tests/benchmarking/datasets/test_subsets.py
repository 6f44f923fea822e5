"""Draws are the same everywhere, and the frozen list says so."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.benchmarking.datasets import splits
from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.splits import draw_at_most, draw_examples, draw_four_fifths, hash_order
from okrcell.benchmarking.tasks import few_shot
from okrcell.errors import InputError

NAMES = [f"cell{i}" for i in range(50)]


def test_the_order_is_that_of_the_hashes_for_ever():
    assert hash_order(["a", "b", "c", "d"], "wang|0").tolist() == [3, 1, 0, 2]


def test_a_seed_draws_four_fifths_and_no_more_than_asked():
    rows = draw_four_fifths(NAMES, "a set", 0)
    assert len(rows) == len(set(rows.tolist())) == 40
    assert (np.diff(rows) > 0).all()
    assert len(draw_four_fifths(NAMES, "a set", 0, max_cells=7)) == len(draw_at_most(NAMES, "a set", 7)) == 7
    assert draw_four_fifths(NAMES, "a set", 1).tolist() != rows.tolist()
    assert draw_at_most(NAMES, "a set").tolist() == list(range(50))


@given(st.lists(st.sampled_from(["", "T", "B", "NK"]), min_size=1, max_size=40), st.integers(0, 5))
def test_examples_are_few_of_each_label_and_grow_with_k(label, draw):
    labels = np.array(label)
    names = [f"cell{i}" for i in range(len(label))]
    rows_by_k = {k: draw_examples(names, labels, "a set", draw, k) for k in (1, 5, 9)}
    for k, rows in rows_by_k.items():
        for name in {*label} - {""}:
            n_cells = int((labels == name).sum())
            assert (labels[rows] == name).sum() == min(k, n_cells // 2)
        assert "" not in labels[rows]
    assert set(rows_by_k[1].tolist()) <= set(rows_by_k[5].tolist()) <= set(rows_by_k[9].tolist())


@pytest.mark.parametrize("name", ["wang", "xin"])
def test_draws_are_those_that_were_frozen(shared_data: Path, name):
    dataset = load_dataset(name, shared_data)
    for seed in range(5):
        assert (
            splits.digest(dataset, draw_four_fifths(dataset.cells.obs_names, name, seed))
            == splits.frozen_digests()[name][f"seed {seed}"]
        )
        assert len(splits.seed_subset(dataset, seed)) == int(0.8 * len(dataset))
    assert len(splits.full_subset(dataset)) == len(dataset)
    for k in few_shot.N_EXAMPLES:
        for draw in range(10):
            splits.example_rows(dataset, draw, k)


def test_another_draw_than_the_frozen_one_is_refused(shared_data: Path, monkeypatch):
    monkeypatch.setattr(splits, "frozen_digests", lambda: {"wang": {"seed 0": "400 0123456789abcdef"}})
    with pytest.raises(InputError, match="'seed 0' of the set wang is not the one that was frozen"):
        splits.seed_subset(load_dataset("wang", shared_data), 0)
