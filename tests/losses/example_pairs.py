"""Unit vectors to try an objective on, and what it makes of them."""

import torch
from torch.nn import functional

from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.objective import ObjectiveSettings, contrastive_loss
from okrcell.losses.pair_weights import match_probability, reliability_weights

HEAT = torch.tensor(0.05)


def unit(rows, dim=6, seed=0):
    vectors = torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(vectors, dim=-1)


def pairs_of(kinds, seed=0, closeness=1.0, dim=6, one_text_each=False):
    """Cells near their texts; with ``one_text_each``, those of a kind have one text."""
    kinds = torch.as_tensor(kinds, dtype=torch.long)
    texts = unit(64, dim, seed)[kinds] if one_text_each else unit(len(kinds), dim, seed)
    cells = functional.normalize(closeness * texts + unit(len(kinds), dim, seed + 1), dim=-1)
    return PairEmbeddings(cells, texts, kinds)


def alike(pairs):
    return (pairs.cell_type[:, None] == pairs.cell_type[None, :]) | torch.eye(len(pairs.cell_type), dtype=torch.bool)


def judged(pairs, settings, epoch=1, stable=None, temperature=HEAT):
    """Return r and W."""
    reliability = settings.reliability
    sharpness = temperature if reliability.sharpness == "temperature" else reliability.sharpness
    agreed = match_probability(pairs.cells, pairs.texts, alike(pairs), sharpness, reliability)
    stable = torch.ones(len(agreed)) if stable is None else stable
    return agreed, reliability_weights(agreed, stable, alike(pairs), epoch, reliability)


def total(aligned, settings):
    return aligned.cell_to_text + aligned.text_to_cell + settings.negative_weight * aligned.complementary


def alone(**choices):
    """Settings of the plain objective, but for ``choices``."""
    return ObjectiveSettings(preset="control", **choices)


def aligned_alone(pairs, keys=None, trust=None, settings=None, progress=0.5, kin=None):
    settings = alone() if settings is None else settings
    trust = torch.ones(len(pairs.cells)) if trust is None else trust
    return contrastive_loss(pairs, pairs if keys is None else keys, trust, HEAT, progress, kin, settings)
