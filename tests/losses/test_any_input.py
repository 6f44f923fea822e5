"""Gradients are finite whatever comes in: at any likeness, of a single pair, of equal texts, in half precision."""

import pytest
import torch
from example_pairs import judged
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.objective import ABLATIONS, MaskedPredictions, ObjectiveSettings, contrastive_loss, total_loss

COLDEST = 0.01
KIN = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)


def nothing_hidden(cells):
    blank = torch.zeros(cells, 1)
    return MaskedPredictions(blank, blank, blank.long(), blank.bool(), 51)


@pytest.mark.parametrize("rung", [name for name in ABLATIONS if name != "cell_only"])
@given(
    pairs=st.integers(1, 5),
    remembered=st.integers(0, 3),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    signs=st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=16, max_size=16),
    kinds=st.lists(st.integers(0, 2), min_size=8, max_size=8),
    progress=st.sampled_from([0.0, 0.1, 0.5, 0.99]),
    epoch=st.integers(1, 5),
    stable=st.sampled_from([0.0, 0.5, 1.0]),
    temperature=st.sampled_from([COLDEST, 0.05, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_gradients_are_finite(rung, pairs, remembered, dtype, signs, kinds, progress, epoch, stable, temperature):
    # Vectors along one axis: all similarities are +1 or -1 (or 0), as hard as it gets; texts often are all equal.
    objective = ObjectiveSettings(**ABLATIONS[rung])
    axis = torch.zeros(16, 3, dtype=dtype)
    axis[:, 0] = torch.tensor(signs, dtype=dtype)
    cells, texts = axis[:pairs].clone().requires_grad_(), axis[8 : 8 + pairs].clone().requires_grad_()
    heat = torch.tensor(temperature, requires_grad=True)
    here = PairEmbeddings(cells, texts, torch.tensor(kinds[:pairs]))
    past = PairEmbeddings(
        axis[5 : 5 + remembered], axis[13 : 13 + remembered], torch.tensor(kinds[5 : 5 + remembered], dtype=torch.long)
    )
    agreed, trust = judged(here, objective, epoch, torch.full((pairs,), stable), heat.detach())
    keys = (
        here.mask_untrusted(trust >= 0.5).concat(past)
        if objective.reliability.key_filter == "trusted"
        else here.concat(past)
    )
    aligned = contrastive_loss(here, keys, trust, heat, progress, KIN, objective)
    loss = total_loss(nothing_hidden(pairs), here.cell_type, aligned, trust, objective)
    loss.total.backward()

    assert all(bool(part.isfinite()) for part in loss)
    assert bool(((agreed >= 0) & (agreed <= 1) & (trust >= 0) & (trust <= 1)).all())
    for gradient in (cells.grad, texts.grad, heat.grad):
        assert bool(gradient.isfinite().all())


def test_half_precision_in_a_batch_of_many_differs_from_full_by_no_more_than_its_rounding():
    rng = torch.Generator().manual_seed(0)
    full = torch.nn.functional.normalize(torch.randn(64, 32, generator=rng), dim=-1)
    kinds, objective, heat = torch.arange(64) % 20, ObjectiveSettings(preset="improved"), torch.tensor(0.05)
    found = []
    for dtype in (torch.float32, torch.float16):
        texts = full.to(dtype)
        cells = (full + 0.1).to(dtype)
        pairs = PairEmbeddings(cells, texts, kinds)
        _, trust = judged(pairs, objective, epoch=2)
        found.append(contrastive_loss(pairs, pairs, trust, heat, 0.5, None, objective))
    for one, other in zip(*found, strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02)
