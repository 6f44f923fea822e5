"""Doubtful pairs are shut out at first, hard ones sought later."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from okrcell.losses.pair_weights import PAPER_N_KEYS, CurriculumSettings, difficulty_threshold, sample_weights

PAPER = CurriculumSettings()
KEYS = 500


def weights(difficulty, progress, trust=None, keys=KEYS, chosen=PAPER):
    difficulty = torch.tensor(difficulty)
    trust = torch.ones(len(difficulty)) if trust is None else torch.tensor(trust)
    return sample_weights(difficulty, trust, progress, keys, chosen)


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 2.0), (0.2, 5.58), (0.25, 6.0), (1.0, 10.0)])
def test_the_threshold_rises_as_the_paper_says(progress, expected):
    assert difficulty_threshold(progress, KEYS, PAPER) == pytest.approx(expected, abs=0.005)


def test_the_threshold_can_follow_the_number_of_keys():
    chosen = CurriculumSettings(scale="keys")
    assert PAPER_N_KEYS == 4544
    assert difficulty_threshold(0.3, PAPER_N_KEYS, chosen) == difficulty_threshold(0.3, 7, PAPER)
    # Of the difficulty of a blind guess it is the same share, whatever the number of keys.
    shares = [difficulty_threshold(0.3, keys, chosen) / math.log(keys) for keys in (2, 32, 256, 100_000)]
    assert shares == pytest.approx([shares[0]] * 4)
    assert math.isfinite(difficulty_threshold(0.3, 1, chosen))


def test_early_pairs_above_the_threshold_fall_off_and_the_others_weigh_alike():
    raw = torch.tensor([1.0, 1.0, 1.0, math.exp(-1), math.exp(-5)])
    seen = weights([0.0, 1.0, 2.0, 3.0, 7.0], 0.0)
    torch.testing.assert_close(seen, raw / raw.mean())


def test_a_cut_leaves_nothing_of_pairs_above_the_threshold():
    seen = weights([0.0, 1.9, 2.1, 3.0], 0.0, chosen=CurriculumSettings(form="cut"))
    assert seen.tolist() == [2.0, 2.0, 0.0, 0.0]


def test_late_hard_pairs_weigh_up_to_twice_as_much():
    gamma = difficulty_threshold(0.5, KEYS, PAPER)
    raw = torch.tensor([1.0, 1.0, 1 + 2 / gamma, 2.0, 2.0])
    seen = weights([0.0, 1.0, 3.0, 1 + gamma, 50.0], 0.5)
    torch.testing.assert_close(seen, raw / raw.mean())


def test_the_scheme_turns_at_a_fifth_of_all_steps():
    difficulty = [0.5, 9.0]
    before, after = weights(difficulty, 0.1999), weights(difficulty, 0.2)
    assert before[0] > before[1]
    assert after[0] < after[1]


def test_the_guard_keeps_a_wrong_pair_from_being_sought_for_its_difficulty():
    # Method 5.7, row 1: the last pair is wrong, hence the hardest, and not trusted.
    difficulty, trust = [0.2, 1.0, 8.0], [1.0, 0.8, 0.01]
    bare = weights(difficulty, 0.5, trust)
    guarded = weights(difficulty, 0.5, trust, chosen=CurriculumSettings(guard="trust"))
    assert bare[2] == max(bare)
    assert guarded[2] < 0.05 * guarded[0]
    early = weights(difficulty, 0.1, trust, chosen=CurriculumSettings(guard="trust"))
    torch.testing.assert_close(early, weights(difficulty, 0.1, trust))


def test_the_guard_looks_at_trust_against_the_most_trusted():
    chosen = CurriculumSettings(guard="trust")
    one = weights([1.0, 2.0, 3.0], 0.5, [0.8, 0.4, 0.2], chosen=chosen)
    other = weights([1.0, 2.0, 3.0], 0.5, [0.08, 0.04, 0.02], chosen=chosen)
    torch.testing.assert_close(one, other)
    assert weights([1.0, 2.0], 0.5, [0.0, 0.0], chosen=chosen).tolist() == [0.0, 0.0]


def test_without_a_curriculum_all_pairs_weigh_alike():
    chosen = CurriculumSettings(use=False, guard="trust")
    assert weights([0.0, 9.0], 0.7, [0.1, 1.0], chosen=chosen).tolist() == [1.0, 1.0]


@given(
    difficulty=st.lists(st.floats(0, 200, width=32), min_size=1, max_size=8),
    progress=st.floats(0, 1),
    form=st.sampled_from(["exponential", "cut"]),
    scale=st.sampled_from(["none", "keys"]),
    guard=st.sampled_from(["none", "trust"]),
    keys=st.integers(1, 100_000),
)
@settings(max_examples=200, deadline=None)
def test_weights_are_finite_not_negative_and_have_mean_one_or_none(difficulty, progress, form, scale, guard, keys):
    chosen = CurriculumSettings(form=form, scale=scale, guard=guard)
    trust = [1 / (1 + number) for number in range(len(difficulty))]
    seen = weights(difficulty, progress, trust, keys, chosen)
    assert bool((seen >= 0).all())
    assert bool(seen.isfinite().all())
    # Where every pair is far above the threshold, or cut off by it, there is next to nothing left to weigh.
    least_far = 0 if form == "cut" else 10
    far = progress < chosen.switch and min(difficulty) > difficulty_threshold(progress, keys, chosen) + least_far
    assert seen.mean().item() == pytest.approx(1, rel=1e-4) or (far and seen.mean().item() < 1)
    if progress < 0.2:
        order = torch.tensor(difficulty).argsort(stable=True)
        assert bool((seen[order].diff() <= 1e-6).all())


def test_weights_have_no_gradient():
    difficulty = torch.rand(3, requires_grad=True)
    assert not sample_weights(difficulty, torch.ones(3), 0.5, KEYS, PAPER).requires_grad


@pytest.mark.parametrize("wrong", [{"switch": 1.5}, {"start": 0}, {"exponent": -1}, {"form": "focal"}, {"speed": 1}])
def test_what_is_no_curriculum_is_refused(wrong):
    with pytest.raises(ValidationError):
        CurriculumSettings(**wrong)
