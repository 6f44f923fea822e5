"""The table of trust over epochs, and what a pair's spread in it means."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.losses.pair_weights import ReliabilityHistory, ReliabilitySettings

PAPER = ReliabilitySettings()
SMOOTH = ReliabilitySettings(stability="smooth")


def table_of(records):
    """A table of these records (pair, epoch), from epoch 1; NaN was not visited."""
    records = torch.as_tensor(records, dtype=torch.float32)
    table = ReliabilityHistory(*records.shape)
    for epoch in range(records.shape[1]):
        rows = (~records[:, epoch].isnan()).nonzero()[:, 0]
        table.record(rows, epoch + 1, records[rows, epoch])
    return table


def stability(table, epoch, chosen=PAPER):
    return table.stability(torch.arange(len(table)), epoch, chosen)


def in_numpy(records, epoch, cutoff=3.0, smooth=False):
    """E10 from records in double precision."""
    q = np.full(len(records), np.nan)
    for i, row in enumerate(np.asarray(records, dtype=np.float16).astype(float)):
        known = row[: epoch - 1][~np.isnan(row[: epoch - 1])]
        if len(known) >= 2:
            q[i] = np.sqrt(np.mean((known - known.mean()) ** 2))
    mu, s = np.nanmean(q), np.sqrt(np.nanmean((q - np.nanmean(q)) ** 2))
    v = np.ones(len(records))
    for i, spread in enumerate(q):
        if not np.isnan(spread) and spread > (mu if smooth else mu + cutoff * s):
            v[i] = np.exp(-((spread - mu) ** 2) / (2 * s**2))
    return v


@given(
    pairs=st.integers(2, 40),
    epoch=st.integers(3, 7),
    seed=st.integers(0, 999),
    absent=st.sampled_from([0.0, 0.3]),
    smooth=st.booleans(),
    cutoff=st.sampled_from([0.5, 3.0]),
)
@settings(max_examples=100, deadline=None)
def test_it_equals_its_definition_in_double_precision(pairs, epoch, seed, absent, smooth, cutoff):
    rng = np.random.default_rng(seed)
    records = rng.random((pairs, 6))
    records[rng.random(records.shape) < absent] = np.nan
    records[:2, :2] = 0.25, 0.75
    records[1, 1] = 0.5
    chosen = ReliabilitySettings(stability="smooth" if smooth else "threshold", cutoff=cutoff)
    seen = stability(table_of(records), epoch, chosen)
    np.testing.assert_allclose(seen, in_numpy(records, epoch, cutoff, smooth), rtol=5e-3, atol=2e-4)


def test_a_pair_beyond_three_deviations_is_all_but_shut_out_and_none_below():
    # 99 calm pairs and one that is not: its spread lies about ten deviations above the mean.
    records = np.full((100, 3), 0.5)
    records[:99, 1] += np.linspace(-0.05, 0.05, 99)
    records[99] = 0.0, 1.0, 0.5
    found = stability(table_of(records), 4)
    assert found[:99].tolist() == [1.0] * 99
    assert found[99] <= np.exp(-4.5)


def test_just_beyond_the_threshold_trust_is_at_most_a_hundredth():
    rng = np.random.default_rng(1)
    records = 0.5 + rng.normal(0, 0.01, (4000, 2))
    found = stability(table_of(records), 3)
    shut_out = found[found < 1]
    assert 10 < len(shut_out) < 200
    assert shut_out.max() <= np.exp(-4.5) + 1e-3
    assert shut_out.max() == pytest.approx(np.exp(-4.5), rel=0.3)


def test_smooth_trust_falls_from_the_mean_on():
    records = np.full((5, 2), 0.5)
    records[:, 1] += np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    found = stability(table_of(records), 3, SMOOTH)
    assert found[:3].tolist() == pytest.approx([1, 1, 1], abs=1e-3)
    assert found[3] > found[4]
    assert found[4] == pytest.approx(np.exp(-(0.1**2) / (2 * 0.005)), abs=5e-3)


def test_a_pair_with_fewer_than_two_records_is_held_for_stable():
    nan = np.nan
    table = table_of([[nan, nan, nan], [0.1, nan, nan], [nan, 0.9, nan], [0.0, 1.0, nan], [0.4, 0.5, nan]])
    for chosen in (PAPER, SMOOTH, ReliabilitySettings(cutoff=0)):
        assert stability(table, 4, chosen)[:3].tolist() == [1.0] * 3
    assert stability(table, 4, SMOOTH)[3] < 0.7


@pytest.mark.parametrize("chosen", [PAPER, SMOOTH, ReliabilitySettings(cutoff=0)])
@pytest.mark.parametrize("epoch", [1, 2, 3, 9])
def test_an_empty_table_and_one_without_any_spread_trust_everybody(chosen, epoch):
    for table in (ReliabilityHistory(4, 3), table_of(np.full((4, 3), 0.3)), table_of([[0.1, 0.9, 0.5]] * 4)):
        assert stability(table, epoch, chosen).tolist() == [1.0] * 4


def test_only_former_epochs_have_a_say():
    records = np.random.default_rng(0).random((20, 4))
    one, other = table_of(records), table_of(np.c_[records[:, :3], np.random.default_rng(1).random(20)])
    torch.testing.assert_close(stability(one, 4, SMOOTH), stability(other, 4, SMOOTH))
    assert not torch.equal(stability(one, 5, SMOOTH), stability(other, 5, SMOOTH))


@given(
    visits=st.lists(
        st.tuples(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1, width=16)), max_size=6)),
        max_size=12,
    )
)
@settings(max_examples=100, deadline=None)
def test_a_record_is_the_mean_of_an_epochs_visits_also_of_two_in_one_batch(visits):
    table, found = ReliabilityHistory(5, 3), {}
    for epoch, batch in visits:
        rows = torch.tensor([row for row, _ in batch], dtype=torch.long)
        table.record(rows, epoch, torch.tensor([value for _, value in batch], dtype=torch.float32))
        for row, value in batch:
            found.setdefault((row, epoch), []).append(value)
    records = table.records(torch.arange(5))
    for row in range(5):
        for epoch in (1, 2, 3):
            values = found.get((row, epoch), [])
            assert table.visits[row, epoch - 1] == len(values)
            record = records[row, epoch - 1].item()
            if values:
                # Half a unit in the last place of sixteen bits at each visit, carried along.
                assert abs(record - np.mean(values)) <= (len(values) + 1) / 2 * 2**-12
            else:
                assert np.isnan(record)


def test_visits_stop_being_counted_at_255_and_the_mean_goes_on():
    table = ReliabilityHistory(2, 1)
    values = np.random.default_rng(0).random(600)
    for value in values[:300]:
        table.record(torch.tensor([1]), 1, torch.tensor([value], dtype=torch.float32))
    assert table.visits.tolist() == [[0], [255]]
    assert table.records(torch.tensor([1])).item() == pytest.approx(values[:300].mean(), abs=0.03)
    table.record(torch.zeros(400, dtype=torch.long), 1, torch.from_numpy(values[:400]).float())
    assert table.visits[0, 0] == 255
    assert table.records(torch.tensor([0])).item() == pytest.approx(values[:400].mean(), abs=2**-11)
    table.record(torch.zeros(255, dtype=torch.long), 1, torch.zeros(255))
    assert table.records(torch.tensor([0])).item() == pytest.approx(values[:400].mean() / 2, abs=1e-3)


def test_epochs_past_the_last_count_for_the_last():
    table = ReliabilityHistory(1, 2)
    for epoch, value in ((2, 0.25), (3, 0.5), (7, 0.75)):
        table.record(torch.tensor([0]), epoch, torch.tensor([value]))
    assert table.visits.tolist() == [[0, 3]]
    assert table.records(torch.tensor([0]))[0, 1].item() == 0.5


def test_a_table_put_back_goes_on_as_it_would_have():
    records = np.random.default_rng(2).random((30, 4))
    table, other = table_of(records), ReliabilityHistory(30, 4)
    stability(other, 4)  # what it found usual is of the empty table
    other.load_state_dict({name: tensor.clone() for name, tensor in table.state_dict().items()})
    for epoch in (3, 4, 5):
        assert torch.equal(stability(table, epoch, SMOOTH), stability(other, epoch, SMOOTH))
    for each in (table, other):
        each.record(torch.tensor([3, 3, 8]), 4, torch.tensor([0.1, 0.3, 0.9]))
    everyone = torch.arange(30)
    torch.testing.assert_close(table.records(everyone), other.records(everyone), equal_nan=True, rtol=0, atol=0)


def test_a_state_that_lacks_something_is_refused():
    state = ReliabilityHistory(3, 2).state_dict()
    for name in state:
        with pytest.raises(KeyError):
            ReliabilityHistory(3, 2).load_state_dict({key: tensor for key, tensor in state.items() if key != name})


def test_a_table_takes_three_bytes_a_pair_and_epoch():
    state = ReliabilityHistory(1000, 6).state_dict()
    assert sum(tensor.nbytes for tensor in state.values()) == 1000 * 6 * 3
