"""Trust in a pair: cell and text must choose each other."""

import math

import pytest
import torch
from example_pairs import HEAT, alike, judged, pairs_of, unit
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.objective import ObjectiveSettings
from okrcell.losses.pair_weights import ReliabilitySettings, match_probability, n_distinct_types, reliability_weights


def agreed(pairs, sharpness=0.05, **chosen):
    return match_probability(pairs.cells, pairs.texts, alike(pairs), sharpness, ReliabilitySettings(**chosen))


def same_of(kinds):
    return kinds[:, None] == kinds[None, :]


def perfect(kinds):
    """Cells that are where the text of their type is."""
    texts = torch.eye(int(max(kinds)) + 1)[torch.tensor(kinds)]
    return PairEmbeddings(texts, texts, torch.tensor(kinds))


def test_pairs_that_choose_each_other_agree_and_exchanged_ones_do_not():
    found = agreed(perfect([0, 1, 2, 3]))
    torch.testing.assert_close(found, torch.ones(4), rtol=1e-6, atol=1e-6)
    pairs = perfect([0, 1, 2, 3])
    found = agreed(pairs._replace(texts=pairs.texts[[1, 0, 2, 3]]))
    assert found[:2].max() < 1e-6
    assert found[2:].min() > 0.99


def test_cells_of_one_text_compete_unless_that_is_corrected_for():
    pairs = perfect([0, 0, 0, 0, 1, 2, 2])
    often = torch.tensor([4.0, 4, 4, 4, 1, 2, 2])
    torch.testing.assert_close(agreed(pairs, duplicates="ignore"), 1 / often, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(agreed(pairs, duplicates="correct"), torch.ones(7), rtol=1e-5, atol=1e-6)


def test_a_wrong_pair_among_many_of_its_type_is_still_found_when_duplicates_are_corrected_for():
    pairs = perfect([0, 0, 0, 1, 1, 1])
    cells = pairs.cells.clone()
    cells[0] = pairs.texts[3]
    found = agreed(pairs._replace(cells=cells), duplicates="correct")
    assert found[0] < 0.01
    assert found[[3, 4, 5]].min() > 0.8


@given(
    kinds=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    seed=st.integers(0, 999),
    sharpness=st.sampled_from([0.01, 0.05, 1.0]),
    symmetry=st.sampled_from(["geometric", "mean", "harmonic", "minimum"]),
    duplicates=st.sampled_from(["ignore", "correct"]),
)
@settings(max_examples=150, deadline=None)
def test_agreement_is_a_probability_in_each_way_of_joining(kinds, seed, sharpness, symmetry, duplicates):
    pairs = pairs_of(kinds, seed, closeness=0.7)
    found = agreed(pairs, sharpness, symmetry=symmetry, duplicates=duplicates)
    assert bool(((found >= 0) & (found <= 1)).all())
    # The means come in their order: minimum, harmonic, geometric, arithmetic.
    if symmetry != "mean":
        assert bool((found <= agreed(pairs, sharpness, symmetry="mean", duplicates=duplicates) + 1e-6).all())
    if symmetry != "minimum":
        assert bool((found >= agreed(pairs, sharpness, symmetry="minimum", duplicates=duplicates) - 1e-6).all())


def test_a_cell_that_chooses_rightly_but_is_not_chosen_is_half_trusted_by_the_mean_alone():
    # Two cells at the text of the first: it chooses them both, the second text chooses neither.
    texts = torch.eye(3)[:2]
    pairs = PairEmbeddings(texts[[0, 0]], texts, torch.arange(2))
    by_way = {way: agreed(pairs, symmetry=way)[0].item() for way in ("minimum", "harmonic", "geometric", "mean")}
    assert by_way == pytest.approx({"minimum": 0.5, "harmonic": 2 / 3, "geometric": 0.5**0.5, "mean": 0.75}, abs=1e-5)


def test_a_single_pair_agrees_and_no_pair_is_no_error():
    for duplicates in ("ignore", "correct"):
        assert agreed(pairs_of([5]), duplicates=duplicates).item() == pytest.approx(1)
        assert len(agreed(pairs_of([]), duplicates=duplicates)) == 0


def test_agreement_has_no_gradient():
    pairs = pairs_of([0, 1])
    assert not agreed(pairs._replace(cells=pairs.cells.requires_grad_())).requires_grad


@pytest.mark.parametrize("way", ["symmetry", "logistic"])
@given(kinds=st.integers(2, 30), one=st.floats(0, 1), other=st.floats(0, 1), epoch=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_trust_rises_with_agreement_and_stays_in_bounds(way, kinds, one, other, epoch):
    low, high = sorted((one, other))
    agreed = torch.full((kinds,), low)
    agreed[0] = high
    chosen = ReliabilitySettings(weighting=way)
    found = reliability_weights(agreed, torch.ones(kinds), torch.eye(kinds, dtype=torch.bool), epoch, chosen)
    assert bool(((found >= 0) & (found <= 1)).all())
    assert found[0] >= found[1]


@pytest.mark.parametrize("kinds", [2, 3, 5, 8, 9, 16, 17, 40, 200])
def test_a_bet_that_is_surely_won_is_trusted_and_a_blind_guess_is_not_however_many_types(kinds):
    chosen = ReliabilitySettings(weighting="logistic")
    same = torch.eye(kinds, dtype=torch.bool)
    found = reliability_weights(torch.full((kinds,), 0.99), torch.ones(kinds), same, 3, chosen)
    assert found.min() > 0.95
    if kinds > 2:
        found = reliability_weights(torch.full((kinds,), 1 / kinds), torch.ones(kinds), same, 3, chosen)
        assert found.max() < 0.05


def test_a_bet_is_even_at_so_many_times_a_blind_guess_among_the_types_of_the_batch():
    chosen = ReliabilitySettings(weighting="logistic", chance_multiple=8, steepness=6)
    same = same_of(torch.arange(60) // 3)
    found = reliability_weights(torch.tensor([0.4, 0.8, 0.2] * 20), torch.ones(60), same, 2, chosen)
    assert found[:3].tolist() == pytest.approx([0.5, 1 / (1 + 0.5**6), 1 / (1 + 2**6)], rel=1e-4)


def test_a_bet_among_a_single_type_is_not_one_and_everybody_is_trusted():
    chosen = ReliabilitySettings(weighting="logistic")
    assert (
        reliability_weights(torch.rand(5), torch.ones(5), torch.ones(5, 5, dtype=torch.bool), 2, chosen).tolist()
        == [1.0] * 5
    )


@given(st.lists(st.integers(1, 70), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_distinct_types_are_counted_to_the_whole_number(sizes):
    kinds = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    assert n_distinct_types(same_of(kinds)).item() == len(sizes)


def test_everybody_is_trusted_before_the_warm_up_is_over_and_where_nobody_is_judged():
    low = torch.full((4,), 0.1)
    same, stable = torch.eye(4, dtype=torch.bool), torch.zeros(4)
    warm = ReliabilitySettings(warmup=2)
    assert [reliability_weights(low, stable, same, epoch, warm)[0].item() for epoch in (1, 2)] == [1, 1]
    assert reliability_weights(low, stable, same, 3, warm)[0].item() == pytest.approx(0.1)
    assert reliability_weights(low, stable, same, 9, ReliabilitySettings(use=False)).tolist() == [1.0] * 4


@pytest.mark.parametrize(("combine", "expected"), [("product", 0.3), ("minimum", 0.5), ("mean", 0.55)])
def test_stability_has_a_say_after_the_third_epoch_alone(combine, expected):
    chosen = ReliabilitySettings(combine=combine)
    agreed, stable, same = torch.tensor([0.6, 0.6]), torch.tensor([0.5, 0.5]), torch.eye(2, dtype=torch.bool)
    seen = [reliability_weights(agreed, stable, same, epoch, chosen)[0].item() for epoch in range(1, 6)]
    assert seen == pytest.approx([0.6, 0.6, 0.6, expected, expected])
    off = ReliabilitySettings(combine=combine, stability="none")
    assert reliability_weights(agreed, stable, same, 5, off)[0].item() == pytest.approx(0.6)


def test_the_colder_the_surer():
    pairs = pairs_of(range(8), closeness=1.5)
    found = [agreed(pairs, heat).mean() for heat in (0.5, 0.2, 0.05)]
    assert found == sorted(found)
    assert math.isclose(agreed(pairs, HEAT).mean(), found[-1], rel_tol=1e-6)


def test_autocast_does_not_make_agreement_coarse():
    cells, texts = unit(50, 32), unit(50, 32, seed=1)
    pairs = PairEmbeddings(cells, texts, torch.arange(50))
    expected = agreed(pairs, 0.01)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(agreed(pairs, 0.01), expected)


def test_the_improved_preset_finds_exchanged_pairs_where_cells_are_well_placed():
    kinds = torch.arange(96) % 12
    pairs = pairs_of(kinds, closeness=3.0, dim=24, one_text_each=True)
    wrong = torch.zeros(96, dtype=torch.bool)
    wrong[:24] = True
    moved = kinds.clone()
    moved[:24] = kinds[:24].roll(1)
    noisy = pairs._replace(texts=unit(64, 24)[moved], cell_type=moved)
    _, trust = judged(noisy, ObjectiveSettings(preset="improved"), epoch=2)
    assert trust[wrong].max() < 0.5 < trust[~wrong].min()
