"""When doubtful pairs are shut out, and when hard ones are sought."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from okrcell.settings import Settings

PAPER_KEYS = 448 + 4096
"""Keys in the paper's setting: pairs of a step over all devices, and our size of the bank."""


class CurriculumSettings(Settings):
    """Progressive sample weighting (method 5.6, E15 to E19)."""

    use: bool = True
    """False: all pairs weigh alike."""
    start: Annotated[float, Field(gt=0)] = 2.0
    """Threshold on the difficulty at the beginning [paper]."""
    end: Annotated[float, Field(gt=0)] = 10.0
    """And at the end [paper]."""
    exponent: Annotated[float, Field(gt=0)] = 0.5
    """Of the power law between them [paper]."""
    switch: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Progress at which hard pairs, so far suppressed, are sought [paper]."""
    form: Literal["exponential", "cut"] = "exponential"
    """How early pairs above the threshold are suppressed. exponential: exp(threshold - difficulty) (our reconstruction);
    cut: not learned from at all."""
    weigh: Literal["negatives", "whole"] = "negatives"
    """What is weighed: the complementary part (the paper's introduction) or both parts (its method section)."""
    guard: Literal["none", "trust"] = "none"
    """trust: in the late phase a pair weighs in proportion to how far it is trusted. Without it a wrong pair, always
    among the hardest, is pushed away twice as hard from its true text (method 5.7, row 1)."""
    scale: Literal["none", "keys"] = "none"
    """keys: the threshold is scaled by ln(keys) over that of the paper's setting, since the difficulty of a blind guess is
    ln(keys) (method 5.7, row 4)."""


def threshold(progress: float, keys: int, settings: CurriculumSettings) -> float:
    """Return the difficulty, in nats, above which a pair counts as hard at ``progress`` in [0, 1].

    E15; our reconstruction, near certain.
    """
    risen = settings.start + (settings.end - settings.start) * progress**settings.exponent
    return risen * (math.log(max(keys, 2)) / math.log(PAPER_KEYS) if settings.scale == "keys" else 1.0)


@torch.no_grad()
def sample_weights(
    difficulty: Float[Tensor, "pair"],
    trust: Float[Tensor, "pair"],
    progress: float,
    keys: int,
    settings: CurriculumSettings,
) -> Float[Tensor, "pair"]:
    """Weigh pairs by their difficulty, from 0 up with mean 1 (E17 to E19; our reconstruction, no gradient).

    Parameters
    ----------
    difficulty
        Mean surprise of both directions, in nats (E16).
    trust
        W of each pair, in [0, 1]; asked only where the settings guard the late phase by it.
    """
    if not settings.use:
        return torch.ones_like(difficulty)
    gamma = threshold(progress, keys, settings)
    if progress < settings.switch:
        suppressed = (gamma - difficulty).exp() if settings.form == "exponential" else torch.zeros_like(difficulty)
        weights = torch.where(difficulty <= gamma, 1.0, suppressed)
    else:
        weights = (1 + (difficulty - 1).clamp_min(0) / gamma).clamp_max(2)
        if settings.guard == "trust":
            weights = weights * trust / trust.max().clamp_min(1e-6)
    return weights / weights.mean().clamp_min(1e-6)
