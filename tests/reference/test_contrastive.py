"""Each direction of alignment equals its reference, and holds at its edges."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from okrcell.losses.contrastive import (
    TargetSettings,
    contrastive_targets,
    match_log_probs,
    siglip_loss,
    soft_cross_entropy,
)

KINDS = torch.tensor([0, 1, 0, 2, 1, 0, 3])
KEY_KINDS = torch.cat([KINDS, torch.tensor([2, -1, 0])])
WAYS = ["own", "masked", "shared"]


def unit(rows, dim=8, seed=0):
    vectors = torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(vectors, dim=-1)


def targets_of(way, kinds=KINDS, key_kinds=KEY_KINDS):
    return contrastive_targets(kinds, key_kinds, TargetSettings(same_type=way))


def info_nce(queries, keys, targets, temperature=0.05):
    return soft_cross_entropy(match_log_probs(queries, keys, targets, temperature), targets)


def test_with_one_partner_it_is_cross_entropy():
    queries, keys = unit(9), unit(9, seed=1)
    expected = functional.cross_entropy(queries @ keys.T / 0.07, torch.arange(9), reduction="none")
    torch.testing.assert_close(info_nce(queries, keys, torch.eye(9), 0.07), expected)


@pytest.mark.parametrize("way", WAYS)
def test_it_equals_its_definition_in_float64(way):
    """Targets of NaN are neither match nor negative."""
    queries, keys, targets = unit(7), unit(10, seed=1), targets_of(way)
    logits = queries.double().numpy() @ keys.double().numpy().T / 0.05
    log_probability = match_log_probs(queries, keys, targets, 0.05)
    for row, target, seen, log_probs in zip(
        logits, targets.numpy(), soft_cross_entropy(log_probability, targets), log_probability, strict=True
    ):
        counted = ~np.isnan(target)
        log_sum = np.log(np.exp(row[counted] - row[counted].max()).sum()) + row[counted].max()
        np.testing.assert_allclose(log_probs[torch.from_numpy(counted)], row[counted] - log_sum, rtol=1e-4, atol=1e-5)
        assert bool((log_probs[torch.from_numpy(~counted)] == -torch.inf).all())
        assert float(seen) == pytest.approx(
            float((target[counted] * (log_sum - row[counted])).sum()), rel=1e-4, abs=1e-6
        )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bias", [-10.0, 0.0])
def test_siglip_equals_its_definition_in_float64(way, bias):
    queries, keys, targets = unit(7), unit(10, seed=1), targets_of(way)
    seen = siglip_loss(queries, keys, targets, torch.tensor(0.1), bias)
    logits = queries.double().numpy() @ keys.double().numpy().T / 0.1 + bias
    for row, target, found in zip(logits, targets.numpy(), seen, strict=True):
        expected = 0.0
        for logit, share in zip(row, target, strict=True):
            if not math.isnan(share):
                z = 1 if share > 0 else -1
                expected += math.log1p(math.exp(-z * logit)) if z * logit > -30 else -z * logit
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_sharing_pulls_towards_every_text_of_the_cell_type():
    queries, keys = unit(4).requires_grad_(), unit(4, seed=1)
    targets = targets_of("shared", torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 1, 2]))
    info_nce(queries, keys, targets, 1.0)[0].backward()
    share = (queries[0] @ keys.T).softmax(0).detach()
    expected = ((share - torch.tensor([0.5, 0.5, 0, 0]))[:, None] * keys).sum(0)
    torch.testing.assert_close(queries.grad[0], expected)


def test_others_of_the_cell_type_do_not_repel_when_they_are_masked():
    keys, kinds = unit(4, seed=1).requires_grad_(), torch.tensor([0, 0, 1, 2])
    # Only the first query speaks: the second key is of its kind, the last two are not.
    info_nce(unit(4), keys, targets_of("masked", kinds, kinds))[0].backward()
    assert not keys.grad[1].any()
    assert keys.grad[[0, 2, 3]].any(dim=1).all()


def test_a_single_pair_without_others_has_nothing_to_learn():
    query = unit(1).requires_grad_()
    loss = info_nce(query, unit(1, seed=1), torch.eye(1), 0.01)
    loss.sum().backward()
    assert loss.item() == 0
    assert not query.grad.any()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_comes_in_and_full_precision_goes_out(precision):
    queries, keys = unit(20).to(precision), unit(20, seed=1).to(precision)
    seen = match_log_probs(queries, keys, torch.eye(20), 0.01)
    torch.testing.assert_close(seen, match_log_probs(queries.float(), keys.float(), torch.eye(20), 0.01))


def test_autocast_does_not_make_likely_keys_alike():
    queries, keys, targets = unit(40, 64), unit(40, 64, seed=1), torch.eye(40)
    with torch.autocast("cpu", torch.bfloat16):
        seen = match_log_probs(queries, keys, targets, 0.01)
        siglip = siglip_loss(queries, keys, targets, 0.01, -10.0)
    assert seen.dtype == siglip.dtype == torch.float32
    torch.testing.assert_close(seen, match_log_probs(queries, keys, targets, 0.01))
    torch.testing.assert_close(siglip, siglip_loss(queries, keys, targets, 0.01, -10.0))
