"""What does not match is learned from, whatever the trust."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.losses.contrastive import complementary_loss


def of(logits, targets, omega=0.5):
    targets = torch.tensor(targets)
    logits = torch.tensor(logits).masked_fill(targets.isnan(), -torch.inf)
    return complementary_loss(logits.log_softmax(dim=1), targets, omega)


def by_hand(logits, targets, omega):
    counted = [k for k, target in enumerate(targets) if not math.isnan(target)]
    whole = math.fsum(math.exp(logits[k]) for k in counted)
    stretched = {k: math.tan(math.exp(logits[k]) / whole) for k in counted}
    return math.fsum(x for k, x in stretched.items() if targets[k] == 0) / math.fsum(stretched.values()) ** omega


@given(
    rows=st.lists(st.lists(st.floats(-6, 6, width=32), min_size=5, max_size=5), min_size=1, max_size=4),
    targets=st.lists(st.sampled_from([0.0, 0.0, 0.5, math.nan]), min_size=4, max_size=4),
    omega=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_it_equals_its_definition_in_double_precision(rows, targets, omega):
    targets = [1.0, *targets]
    seen = of(rows, [targets] * len(rows), omega)
    assert seen.tolist() == pytest.approx([by_hand(row, targets, omega) for row in rows], rel=2e-4, abs=1e-6)


@pytest.mark.parametrize("omega", [0.0, 0.5, 1.0])
def test_it_is_about_one_at_chance_and_none_when_solved(omega):
    keys = 2000
    targets = [[1.0] + [0.0] * (keys - 1)]
    assert of([[0.0] * keys], targets, omega).item() == pytest.approx(1, abs=2e-3)
    assert of([[50.0] + [0.0] * (keys - 1)], targets, omega).item() == pytest.approx(0, abs=1e-6)


def test_at_most_the_tangent_of_one_and_at_omega_one_at_most_one():
    sure_and_wrong = [[0.0, 60.0]], [[1.0, 0.0]]
    assert of(*sure_and_wrong, 0.0).item() == pytest.approx(math.tan(1))
    assert of(*sure_and_wrong, 1.0).item() == pytest.approx(1)


def test_a_larger_omega_pushes_a_sure_mistake_less():
    push = []
    for omega in (0.0, 0.5, 1.0):
        logits = torch.tensor([[0.0, 2.0]], requires_grad=True)
        complementary_loss(logits.log_softmax(dim=1), torch.tensor([[1.0, 0.0]]), omega).sum().backward()
        push.append(logits.grad[0, 1].item())
    assert push[0] > push[1] > push[2] > 0


def test_each_pair_may_have_its_own_omega():
    logits, targets = [[0.0, 1.0]] * 3, [[1.0, 0.0]] * 3
    seen = of(logits, targets, torch.tensor([0.0, 0.5, 1.0]))
    assert seen.tolist() == pytest.approx([of(logits, targets, omega)[0].item() for omega in (0.0, 0.5, 1.0)])


def test_a_key_that_is_left_out_counts_for_nothing_and_shared_matches_are_no_contradiction():
    nan = math.nan
    torch.testing.assert_close(of([[1.0, 2.0, 5.0]], [[1.0, 0.0, nan]]), of([[1.0, 2.0]], [[1.0, 0.0]]))
    assert of([[1.0, 2.0]], [[0.5, 0.5]]).item() == 0
    assert of([[1.0]], [[1.0]]).item() == 0
