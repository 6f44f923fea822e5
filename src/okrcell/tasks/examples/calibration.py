"""Inverse temperature of a head, fitted on left-out cells."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import log_softmax

from okrcell.tasks.auditing.other_cells import folds
from okrcell.tasks.examples.head import fit_head

FEWEST = 3
"""Minimum number of examples of a label for cross-validation."""
BLUNTEST, SHARPEST = 0.2, 2.0
BELIEVED = 20.0
"""Weight of the prior that the inverse temperature is 1, in cells."""


def sharpness(
    features: Float[np.ndarray, "cell feature"],
    given: NDArray[np.intp],
    start: Float[np.ndarray, "cell name"],
    seed: int = 0,
    groups: NDArray[np.str_] | None = None,
) -> float:
    """Return the factor in [0.2, 2] that calibrates the logits of a head on left-out cells.

    It is the inverse of the temperature of temperature scaling (Guo et al. 2017, arXiv 1706.04599), fitted on the folds of
    `assign_folds` (whole groups if there are at least three) and shrunk to 1 for few cells. It
    is calibrated for cells of the same study; a head is less accurate on another study.
    """
    from scipy.optimize import minimize_scalar

    common = np.bincount(given, minlength=start.shape[1])[given] >= FEWEST
    if common.sum() < FEWEST or len(np.unique(given[common])) < 2:
        return 1.0
    features, given, start = features[common], given[common], start[common]
    rng = np.random.default_rng(seed)
    fold = folds(given, None if groups is None else groups[common], rng)
    logits = np.zeros_like(start)
    for number in np.unique(fold):
        out = fold == number
        if out.all():
            return 1.0
        logits[out] = fit_head(features[~out], given[~out], start[~out]).logits(features[out], start[out])

    def loss(log_factor: float) -> float:
        right = log_softmax(np.exp(log_factor) * logits, axis=1)[np.arange(len(given)), given]
        # Shrinkage to a factor of 1.
        return float(-np.maximum(right, -10).sum() + BELIEVED * log_factor**2)

    found = minimize_scalar(loss, bounds=(np.log(BLUNTEST), np.log(SHARPEST)), method="bounded")
    return float(np.exp(found.x))
