"""Temperature scaling: the factor of logits with the highest likelihood on labeled cells (arXiv 1706.04599)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Trial = tuple[Float[np.ndarray, "cell candidate"], NDArray[np.intp]]
"""Scores of cells, and the index of each cell's true candidate; -1 if it is unknown."""


def fit_temperature(loss: Callable[[float], float], bounds: tuple[float, float]) -> float:
    """Return the temperature within ``bounds`` that minimizes ``loss``, or its inverse if ``loss`` takes the inverse.

    The search is on the logarithm.
    """
    result: Any = minimize_scalar(
        lambda log_value: loss(np.exp(log_value)), bounds=(np.log(bounds[0]), np.log(bounds[1])), method="bounded"
    )
    return float(np.exp(result.x))


def label_log_probs(
    logits: Float[np.ndarray, "cell candidate"], label_idx: NDArray[np.intp]
) -> Float[np.ndarray, "cell"]:
    """Return the log probability of each cell's label in the softmax over ``logits``."""
    return log_softmax(logits, axis=1)[np.arange(len(label_idx)), label_idx]


def nll(trials: Sequence[Trial], temperature: float) -> float:
    """Sum over ``trials`` of the mean negative log-likelihood; cells without label or with a score of NaN are left out."""
    total = 0.0
    for scores, label_idx in trials:
        rows = np.flatnonzero((label_idx >= 0) & np.isfinite(scores).all(axis=1))
        if len(rows) > 0:
            total -= float(label_log_probs(scores[rows] / temperature, label_idx[rows]).mean())
    return total
