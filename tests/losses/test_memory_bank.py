"""The bank keeps the newest pairs, whatever comes in whatever batches."""

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.momentum import MemoryBank


def numbered(start, count):
    """Pairs of which each tells its number: the cell by it, the text by its opposite, the type by it."""
    numbers = torch.arange(start, start + count)
    cells = torch.stack([numbers.float(), numbers.float() + 0.5], dim=1)
    return PairEmbeddings(cells, -cells, numbers)


def held(bank):
    """The numbers of the pairs it holds; each slot's parts must be of one pair."""
    past = bank.entries
    torch.testing.assert_close(past.cells[:, 0], past.cell_type.float())
    torch.testing.assert_close(past.texts, -past.cells)
    return past.cell_type.tolist()


@given(size=st.integers(0, 9), batches=st.lists(st.integers(0, 25), max_size=12), emptied=st.integers(0, 12))
@settings(max_examples=200, deadline=None)
def test_it_holds_the_newest_pairs_whatever_the_batches(size, batches, emptied):
    bank, newest, start = MemoryBank(size, 2), deque(maxlen=size), 1
    for number, count in enumerate(batches):
        if number == emptied:
            bank.clear()
            newest.clear()
        bank.push(numbered(start, count))
        newest.extend(range(start, start + count))
        start += count
        assert sorted(held(bank)) == sorted(newest)
        assert len(bank) == len(newest) <= bank.size == size


def test_a_young_bank_gives_no_random_negatives():
    bank = MemoryBank(100, 2)
    assert len(bank) == 0
    assert [len(part) for part in bank.entries] == [0, 0, 0]
    bank.push(numbered(7, 3))
    assert held(bank) == [7, 8, 9]


def test_nothing_is_lost_at_the_wrap():
    bank = MemoryBank(5, 2)
    bank.push(numbered(0, 4))
    bank.push(numbered(4, 3))
    assert sorted(held(bank)) == [2, 3, 4, 5, 6]
    bank.push(numbered(7, 12))
    assert sorted(held(bank)) == [14, 15, 16, 17, 18]


@given(size=st.integers(1, 6), before=st.integers(0, 15), after=st.integers(0, 15))
@settings(max_examples=60, deadline=None)
def test_a_bank_put_back_goes_on_as_it_would_have(size, before, after):
    bank, other = MemoryBank(size, 2), MemoryBank(size, 2)
    bank.push(numbered(1, before))
    other.push(numbered(90, 3))
    other.load_state_dict({name: tensor.clone() for name, tensor in bank.state_dict().items()})
    assert all(torch.equal(one, two) for one, two in zip(bank.entries, other.entries, strict=True))
    for each in (bank, other):
        each.push(numbered(50, after))
    assert all(torch.equal(one, two) for one, two in zip(bank.entries, other.entries, strict=True))


def test_a_state_that_lacks_something_is_refused():
    state = MemoryBank(3, 2).state_dict()
    for name in state:
        with pytest.raises(KeyError):
            MemoryBank(3, 2).load_state_dict({key: tensor for key, tensor in state.items() if key != name})


def test_it_keeps_values_and_not_the_graph_that_made_them():
    bank, pairs = MemoryBank(4, 2), numbered(1, 2)
    cells = pairs.cells.clone().requires_grad_()
    bank.push(pairs._replace(cells=cells))
    with torch.no_grad():
        cells += 100
    assert not bank.entries.cells.requires_grad
    assert bank.entries.cells[:, 0].tolist() == [1.0, 2.0]


def test_half_precision_vectors_are_taken_in():
    bank = MemoryBank(4, 2)
    bank.push(PairEmbeddings(*(part.half() if part.is_floating_point() else part for part in numbered(1, 2))))
    assert held(bank) == [1, 2]
    assert bank.entries.cells.dtype == torch.float32
