"""How fast to learn at each step, and which stage it is."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.training.schedule import Schedule
from okrcell.training.settings import ScheduleSettings


def test_the_papers_rate_falls_by_a_tenth_after_each_of_six_epochs():
    plan = Schedule(ScheduleSettings(), 100)
    assert (plan.stage2_start, plan.total_steps) == (300, 600)
    assert [plan.lr_factor(step) for step in (0, 99)] == [1.0, 1.0]
    assert [plan.lr_factor(100 * epoch + 50) for epoch in range(6)] == pytest.approx([0.9**epoch for epoch in range(6)])


def test_the_text_encoder_wakes_at_the_switch():
    plan = Schedule(ScheduleSettings(epochs=(0.5, 0.25)), 8)
    assert [plan.stage(step) for step in range(plan.total_steps)] == [1, 1, 1, 1, 2, 2]
    assert Schedule(ScheduleSettings(epochs=(0, 1)), 8).stage(0) == 2


def test_steps_take_the_place_of_epochs():
    plan = Schedule(ScheduleSettings(steps=(7, 5)), 1000)
    assert (plan.stage2_start, plan.total_steps) == (7, 12)


def test_the_rate_rises_then_falls_along_a_cosine_to_a_hundredth():
    plan = Schedule(ScheduleSettings(steps=(50, 50), decay="cosine", warmup=0.1), 10)
    rates = [plan.lr_factor(step) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.01, abs=0.001)


@given(
    st.tuples(st.floats(0, 3), st.floats(0, 3)),
    st.integers(1, 50),
    st.sampled_from(["epoch", "cosine"]),
    st.floats(0, 0.99),
)
def test_the_rate_is_never_nothing_and_never_above_one(epochs, steps_per_epoch, decay, warmup):
    plan = Schedule(ScheduleSettings(epochs=epochs, decay=decay, warmup=warmup), steps_per_epoch)
    assert plan.total_steps >= 1
    for step in range(plan.total_steps):
        assert 0 < plan.lr_factor(step) <= 1
        assert plan.stage(step) in (1, 2)
