"""The whole robust objective is what its description says, written out in float64."""

import numpy as np
import pytest
import torch
from example_pairs import HEAT, aligned_alone, alike, alone, judged, pairs_of, total, unit
from hypothesis import given, settings
from hypothesis import strategies as st
from robust_in_float64 import Choices, cra
from torch.nn import functional

from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.objective import ObjectiveSettings, contrastive_loss

FAITHFUL = ({"preset": "faithful"}, Choices())
REPAIRED = (
    {
        "preset": "faithful",
        "partners": {"same_type": "shared"},
        "reliability": {"duplicates": "correct", "warmup": 1},
        "curriculum": {"guard": "trust", "scale": "keys"},
        "omega": "adaptive",
    },
    Choices(
        same_type="shared",
        duplicates="correct",
        warmup=1,
        guard="trust",
        scale="keys",
        omega="adaptive",
        temperature=0.05,
    ),
)
OTHERS = (
    {
        "preset": "faithful",
        "partners": {"same_type": "masked"},
        "reliability": {"symmetry": "harmonic", "combine": "minimum", "sharpness": 0.1},
        "curriculum": {"form": "cut", "weigh": "whole"},
        "omega": 0.8,
        "negative_weight": 2.0,
    },
    Choices(
        same_type="masked", symmetry="harmonic", combine="minimum", sigma=0.1, form="cut", weigh="whole", omega=0.8,
        negative_weight=2.0,
    ),
)  # fmt: skip
WAYS = [
    pytest.param(*FAITHFUL, id="faithful"),
    pytest.param(*REPAIRED, id="repaired"),
    pytest.param(*OTHERS, id="rest"),
]


def doubles(vectors):
    return vectors.cells.double().numpy(), vectors.texts.double().numpy(), vectors.cell_type.tolist()


@pytest.mark.parametrize(("chosen", "choices"), WAYS)
@given(
    kinds=st.lists(st.integers(0, 3), min_size=1, max_size=7),
    past_kinds=st.lists(st.integers(-1, 3), max_size=5),
    seed=st.integers(0, 1000),
    closeness=st.sampled_from([0.0, 0.5, 2.0]),
    progress=st.sampled_from([0.0, 0.01, 0.1, 0.19, 0.2, 0.5, 0.99]),
    epoch=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_it_equals_its_description(chosen, choices, kinds, past_kinds, seed, closeness, progress, epoch):
    objective = ObjectiveSettings(**chosen)
    pairs = pairs_of(kinds, seed, closeness, one_text_each=True)
    past = pairs_of(past_kinds, seed + 5, closeness)._replace(cell_type=torch.tensor(past_kinds, dtype=torch.long))
    stable = torch.rand(len(kinds), generator=torch.Generator().manual_seed(seed))
    agreed, trust = judged(pairs, objective, epoch, stable)
    seen = contrastive_loss(pairs, pairs.concat(past), trust, HEAT, progress, None, objective)

    expected = cra(*doubles(pairs), doubles(past), progress, epoch, choices, stable.numpy())
    np.testing.assert_allclose(agreed, expected.agreed, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trust, expected.trust, rtol=1e-4, atol=1e-6)
    for name in ("cell_to_text", "text_to_cell", "complementary"):
        assert float(getattr(seen, name)) == pytest.approx(getattr(expected, name), rel=5e-4, abs=1e-5), name
    assert float(total(seen, objective)) == pytest.approx(expected.total, rel=5e-4, abs=1e-4)


@pytest.mark.parametrize(("chosen", "choices"), WAYS)
@pytest.mark.parametrize("progress", [0.05, 0.6])
def test_its_gradient_is_that_of_the_description_with_trust_and_weights_held_fast(chosen, choices, progress):
    objective = ObjectiveSettings(**chosen)
    pairs, past = pairs_of([0, 1, 0, 2, 3], seed=3, closeness=0.5, one_text_each=True), pairs_of([1, 2, 4], seed=9)
    _, trust = judged(pairs, objective, epoch=2)
    live = pairs._replace(cells=pairs.cells.clone().requires_grad_(), texts=pairs.texts.clone().requires_grad_())
    total(contrastive_loss(live, live.concat(past), trust, HEAT, progress, None, objective), objective).backward()

    cells, texts, kinds = doubles(pairs)
    reference = cra(cells, texts, kinds, doubles(past), progress, 2, choices)
    omega = 1 - reference.trust if choices.omega == "adaptive" else np.full(len(kinds), choices.omega)
    rng, step = np.random.default_rng(0), 1e-5
    for _ in range(4):
        cell_way, text_way = rng.normal(size=cells.shape), rng.normal(size=texts.shape)
        ends = [
            cra(
                cells + sign * step * cell_way, texts + sign * step * text_way, kinds, doubles(past), progress, 2,
                choices, fixed=(reference.trust, reference.weight, omega),
            ).total
            for sign in (1, -1)
        ]  # fmt: skip
        slope = (live.cells.grad * torch.tensor(cell_way)).sum() + (live.texts.grad * torch.tensor(text_way)).sum()
        assert float(slope) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=2e-3, abs=2e-3)


def test_with_full_trust_and_nothing_else_it_is_the_sum_of_two_cross_entropies():
    pairs = pairs_of(range(9), closeness=0.3)
    logits, own = pairs.cells @ pairs.texts.T / HEAT, torch.arange(9)
    expected = functional.cross_entropy(logits, own), functional.cross_entropy(logits.T, own)
    for chosen in (
        alone(),
        ObjectiveSettings(preset="faithful", negative_weight=0, bank={"size": 0}, reliability={"use": False}),
    ):
        _, trust = judged(pairs, chosen)
        seen = aligned_alone(pairs, trust=trust, settings=chosen)
        torch.testing.assert_close(seen.cell_to_text, expected[0])
        torch.testing.assert_close(seen.text_to_cell, expected[1])
        assert float(total(seen, chosen)) == pytest.approx(float(sum(expected)), rel=1e-6)


@pytest.mark.parametrize(("chosen", "choices"), WAYS)
@pytest.mark.parametrize("progress", [0.1, 0.7])
def test_swapping_the_roles_of_cells_and_texts_changes_nothing(chosen, choices, progress):
    # With a text for each cell: the correction for shared texts is made for texts, not for cells.
    objective = ObjectiveSettings(**chosen)
    pairs, past = pairs_of(range(6), closeness=0.4), pairs_of([2, 9, 3, 3], seed=8)
    one, other = (
        contrastive_loss(each, each.concat(slow), judged(each, objective, 2)[1], HEAT, progress, None, objective)
        for each, slow in ((pairs, past), (swapped(pairs), swapped(past)))
    )
    torch.testing.assert_close(one.cell_to_text, other.text_to_cell)
    torch.testing.assert_close(one.complementary, other.complementary)
    torch.testing.assert_close(total(one, objective), total(other, objective))


def swapped(pairs):
    return PairEmbeddings(pairs.texts, pairs.cells, pairs.cell_type)


@pytest.mark.parametrize(("chosen", "choices"), WAYS)
@pytest.mark.parametrize("progress", [0.1, 0.7])
def test_the_order_of_the_batch_says_nothing(chosen, choices, progress):
    objective, past = ObjectiveSettings(**chosen), pairs_of([1, 2, 2], seed=6)
    kinds, order = torch.tensor([0, 1, 0, 2, 4, 1, 3]), torch.tensor([4, 0, 6, 3, 1, 5, 2])
    found = []
    for places in (torch.arange(7), order):
        whole = pairs_of(kinds, closeness=0.4, one_text_each=True)
        pairs = PairEmbeddings(*(part[places] for part in whole))
        pairs = pairs._replace(cells=pairs.cells.requires_grad_(), texts=pairs.texts.requires_grad_())
        agreed, trust = judged(pairs, objective, 2)
        aligned = contrastive_loss(pairs, pairs.concat(past), trust, HEAT, progress, None, objective)
        total(aligned, objective).backward()
        back = places.argsort()
        found.append([agreed[back], trust[back], *aligned, pairs.cells.grad[back], pairs.texts.grad[back]])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_an_untrusted_pair_is_pulled_by_nothing_and_pushed_only_as_anothers_key():
    pairs = pairs_of(range(5), closeness=0.4)
    cells = pairs.cells.clone().requires_grad_()
    trust = torch.tensor([1.0, 0.3, 0.0, 1.0, 0.8])
    seen = aligned_alone(pairs._replace(cells=cells), trust=trust)
    (seen.cell_to_text + seen.text_to_cell).backward()
    to_cell = (pairs.texts @ pairs.cells.T / HEAT).softmax(dim=1)
    push = sum(trust[other] * to_cell[other, 2] * pairs.texts[other] for other in (0, 1, 3, 4)) / HEAT / 5
    torch.testing.assert_close(cells.grad[2], push)


@pytest.mark.parametrize("name", ["control", "faithful", "improved"])
def test_a_pair_that_is_not_believed_moves_neither_as_query_nor_as_key(name):
    objective = ObjectiveSettings(preset=name, negative_weight=0)
    pairs = pairs_of([0, 1, 2, 1, 3], closeness=0.4)
    live = pairs._replace(cells=pairs.cells.clone().requires_grad_(), texts=pairs.texts.clone().requires_grad_())
    trust = torch.tensor([1.0, 1, 1, 0, 1])
    aligned = contrastive_loss(live, live.mask_untrusted(trust > 0.5), trust, HEAT, 0.5, None, objective)
    (aligned.cell_to_text + aligned.text_to_cell).backward()
    assert not live.cells.grad[3].any()
    assert not live.texts.grad[3].any()
    assert live.cells.grad[[0, 1, 2, 4]].any(dim=1).all()


@pytest.mark.parametrize("progress", [0.05, 0.7])
@given(kinds=st.lists(st.integers(0, 2), min_size=2, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_pairs_of_one_type_do_not_repel_when_they_are_masked_or_shared(progress, kinds, seed):
    # Texts along the axes: what a cell feels along axis j is what its likeness to text j means to the loss.
    size = len(kinds)
    for way in ("masked", "shared"):
        objective = ObjectiveSettings(preset="faithful", partners={"same_type": way}, omega="adaptive")
        cells = functional.normalize(torch.eye(size) + unit(size, size, seed), dim=-1).requires_grad_()
        pairs = PairEmbeddings(cells, torch.eye(size), torch.tensor(kinds))
        _, trust = judged(pairs, objective)
        aligned, same = contrastive_loss(pairs, pairs, trust, HEAT, progress, None, objective), alike(pairs)
        if way == "masked":
            total(aligned, objective).backward()
            assert not cells.grad[same & ~torch.eye(size, dtype=torch.bool)].any()
        else:
            aligned.cell_to_text.backward()
            # Among them the texts of a type are to have equal shares; together they always draw the cell nearer.
            assert bool(((cells.grad * same).sum(dim=1) <= 1e-5).all())
            assert bool((cells.grad[~same] >= 0).all())


@pytest.mark.parametrize("key", [1, 2])
@pytest.mark.parametrize("way", ["own", "masked", "shared"])
def test_a_remembered_text_of_the_type_repels_masked_not_and_attracts_shared(way, key):
    pair, past = pairs_of([0]), pairs_of([0, 3], seed=5)
    texts = past.texts.clone().requires_grad_()
    keys = pair.concat(past._replace(texts=texts))
    objective = ObjectiveSettings(preset="faithful", partners={"same_type": way})
    total(contrastive_loss(pair, keys, torch.ones(1), torch.tensor(1.0), 0.5, None, objective), objective).backward()
    felt = float(texts.grad[key - 1] @ pair.cells[0])
    expected = 1 if key == 2 else {"own": 1, "masked": 0, "shared": -1}[way]
    assert np.sign(felt) == expected


def test_what_is_remembered_gets_no_gradient_and_counts_as_a_negative():
    pairs, past = pairs_of(range(4)), pairs_of([7, 8], seed=3)
    with_bank = aligned_alone(pairs, pairs.concat(past))
    logits = pairs.cells @ torch.cat([pairs.texts, past.texts]).T / HEAT
    torch.testing.assert_close(with_bank.cell_to_text, functional.cross_entropy(logits, torch.arange(4)))
    assert float(with_bank.cell_to_text) > float(aligned_alone(pairs).cell_to_text)
