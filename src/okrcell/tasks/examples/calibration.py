"""How sharply a head may speak, judged by cells it did not learn from."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import log_softmax

from okrcell.tasks.auditing.other_cells import folds
from okrcell.tasks.examples.head import fit_head

FEWEST = 3
"""With fewer examples of a label nothing can be held out of it."""
BLUNTEST, SHARPEST = 0.2, 2.0
BELIEVED = 20.0
"""Cells' worth of belief that the head is right as it is."""


def sharpness(
    features: Float[np.ndarray, "cell feature"],
    given: NDArray[np.intp],
    start: Float[np.ndarray, "cell name"],
    seed: int = 0,
    groups: NDArray[np.str_] | None = None,
) -> float:
    """Return what to multiply a head's logits with so that its probabilities hold on cells left out, in [0.2, 2].

    One over the temperature of temperature scaling (Guo et al. 2017, arXiv 1706.04599), fitted on the folds of
    `okrcell.tasks.auditing.other_cells.folds`, whole groups where there are at least three; few cells move it little. It
    holds for cells of the same study; of another one, less may be right.
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
        # Pulled towards 1 as if that many cells had said so.
        return float(-np.maximum(right, -10).sum() + BELIEVED * log_factor**2)

    found = minimize_scalar(loss, bounds=(np.log(BLUNTEST), np.log(SHARPEST)), method="bounded")
    return float(np.exp(found.x))
