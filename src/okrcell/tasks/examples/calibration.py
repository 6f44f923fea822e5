"""Inverse temperature of a head, fitted on left-out cells."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import log_softmax

from okrcell.tasks.auditing.other_cells import assign_folds
from okrcell.tasks.examples.head import fit_head

MIN_EXAMPLES = 3
"""Minimum number of examples of a label for cross-validation."""
MIN_INVERSE_TEMPERATURE, MAX_INVERSE_TEMPERATURE = 0.2, 2.0
CALIBRATION_PRIOR_CELLS = 20.0
"""Weight of the prior that the inverse temperature is 1, in cells."""


def fit_inverse_temperature(
    features: Float[np.ndarray, "cell feature"],
    label_idx: NDArray[np.intp],
    prior_logits: Float[np.ndarray, "cell name"],
    seed: int = 0,
    groups: NDArray[np.str_] | None = None,
) -> float:
    """Return the factor in [0.2, 2] that calibrates the logits of a head on left-out cells.

    It is the inverse of the temperature of temperature scaling (Guo et al. 2017, arXiv 1706.04599), fitted on the folds of
    `assign_folds` (whole groups if there are at least three) and shrunk to 1 for few cells. It
    is calibrated for cells of the same study; a head is less accurate on another study.
    """
    from scipy.optimize import minimize_scalar

    is_frequent = np.bincount(label_idx, minlength=prior_logits.shape[1])[label_idx] >= MIN_EXAMPLES
    if is_frequent.sum() < MIN_EXAMPLES or len(np.unique(label_idx[is_frequent])) < 2:
        return 1.0
    features, label_idx, prior_logits = features[is_frequent], label_idx[is_frequent], prior_logits[is_frequent]
    rng = np.random.default_rng(seed)
    fold = assign_folds(label_idx, None if groups is None else groups[is_frequent], rng)
    logits = np.zeros_like(prior_logits)
    for fold_id in np.unique(fold):
        is_test = fold == fold_id
        if is_test.all():
            return 1.0
        logits[is_test] = fit_head(features[~is_test], label_idx[~is_test], prior_logits[~is_test]).logits(
            features[is_test], prior_logits[is_test]
        )

    def loss(log_factor: float) -> float:
        log_prob = log_softmax(np.exp(log_factor) * logits, axis=1)[np.arange(len(label_idx)), label_idx]
        # Shrinkage to a factor of 1.
        return float(-np.maximum(log_prob, -10).sum() + CALIBRATION_PRIOR_CELLS * log_factor**2)

    result = minimize_scalar(
        loss, bounds=(np.log(MIN_INVERSE_TEMPERATURE), np.log(MAX_INVERSE_TEMPERATURE)), method="bounded"
    )
    return float(np.exp(result.x))
