"""Curriculum: progressive sample weights by pair difficulty (E15 to E19)."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from okrcell.settings import Settings

PAPER_N_KEYS = 448 + 4096
"""Number of keys in the paper's setting: pairs of a step over all devices, plus our size of the bank."""


class CurriculumSettings(Settings):
    """Progressive sample weighting (method 5.6, E15 to E19)."""

    use: bool = True
    """False: all pairs have equal weight."""
    start: Annotated[float, Field(gt=0)] = 2.0
    """Initial threshold on the difficulty [paper]."""
    end: Annotated[float, Field(gt=0)] = 10.0
    """Final threshold on the difficulty [paper]."""
    exponent: Annotated[float, Field(gt=0)] = 0.5
    """Exponent of the power law between them [paper]."""
    switch: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Progress at which hard pairs change from down-weighted to up-weighted [paper]."""
    form: Literal["exponential", "cut"] = "exponential"
    """Weight of pairs above the threshold in the early phase. exponential: exp(threshold - difficulty) (our reconstruction);
    cut: 0."""
    weigh: Literal["negatives", "whole"] = "negatives"
    """What is weighted: the complementary part (the paper's introduction) or both parts (its method section)."""
    guard: Literal["none", "trust"] = "none"
    """trust: in the late phase the weight of a pair is proportional to its reliability. Without it a wrong pair, always
    among the hardest, is pushed away from its true text with double weight (method 5.7, row 1)."""
    scale: Literal["none", "keys"] = "none"
    """keys: the threshold is scaled by ln(keys) over ln(keys) of the paper's setting, since the difficulty at chance is
    ln(keys) (method 5.7, row 4)."""


def difficulty_threshold(progress: float, n_keys: int, settings: CurriculumSettings) -> float:
    """Difficulty, in nats, above which a pair counts as hard at ``progress`` in [0, 1].

    E15; our reconstruction, near certain.
    """
    unscaled = settings.start + (settings.end - settings.start) * progress**settings.exponent
    return unscaled * (math.log(max(n_keys, 2)) / math.log(PAPER_N_KEYS) if settings.scale == "keys" else 1.0)


@torch.no_grad()
def sample_weights(
    difficulty: Float[Tensor, "pair"],
    reliability: Float[Tensor, "pair"],
    progress: float,
    n_keys: int,
    settings: CurriculumSettings,
) -> Float[Tensor, "pair"]:
    """Weights of pairs by their difficulty, at least 0 with mean 1 (E17 to E19; our reconstruction, no gradient).

    Parameters
    ----------
    difficulty
        Mean cross-entropy of both directions, in nats (E16).
    reliability
        W of each pair, in [0, 1]; used only if ``settings.guard`` is ``reliability``.
    """
    if not settings.use:
        return torch.ones_like(difficulty)
    gamma = difficulty_threshold(progress, n_keys, settings)
    if progress < settings.switch:
        suppressed = (gamma - difficulty).exp() if settings.form == "exponential" else torch.zeros_like(difficulty)
        weights = torch.where(difficulty <= gamma, 1.0, suppressed)
    else:
        weights = (1 + (difficulty - 1).clamp_min(0) / gamma).clamp_max(2)
        if settings.guard == "trust":
            weights = weights * reliability / reliability.max().clamp_min(1e-6)
    return weights / weights.mean().clamp_min(1e-6)
