"""Confidence of the best candidate: its probability, and its margin over known types outside the candidates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from okrcell.errors import CheckpointError
from okrcell.knowledge.lineage import related

ODDS_EPSILON = 1e-4
"""Bounds the odds of a probability at ten thousand to one."""
CONFIDENCE_COEFFICIENTS = ("top", "lead", "bias")
"""Keys of the fitted coefficients: of the log odds of the probability, of the margin, and the intercept."""


def out_of_candidate_types(known_types: Sequence[str], candidates: Sequence[str]) -> Bool[np.ndarray, " type"]:
    """Mark the known types outside the candidates: those that are neither a candidate nor related to one.

    A subtype or an ancestor of a candidate may be what the candidate means.

    Parameters
    ----------
    known_types, candidates
        Cell Ontology ids; "" for a candidate whose text names no type.
    """
    return np.asarray(~related(known_types, candidates).any(axis=1))


def open_set_margin(
    best: Float[np.ndarray, " cell"], scores: Float[np.ndarray, "cell competitor"]
) -> Float[np.ndarray, " cell"]:
    """Margin of the best candidate over the best known type outside the candidates, in units of the scores (ours).

    The nearest candidate may still be wrong (liver types offered for blood). If a known type outside the list scores
    higher, no candidate fits.

    Parameters
    ----------
    best
        Score of each cell's best candidate, on the same scale as ``scores``.
    scores
        Scores of the known types outside the candidates (`out_of_candidate_types`).

    Returns
    -------
    Below 0 where an outside type scores higher; 0 if there is no outside type; NaN for a cell without expression.
    """
    if not scores.shape[1]:
        return np.where(np.isnan(best), np.nan, 0.0).astype(np.float32)
    return (best - scores.max(axis=1)).astype(np.float32)


def log_odds(probability: NDArray[np.floating]) -> NDArray[np.floating]:
    """Log odds of a probability, kept finite by `ODDS_EPSILON`."""
    return np.log((probability + ODDS_EPSILON) / (1 - probability + ODDS_EPSILON))


def sigmoid(odds: NDArray[np.floating]) -> NDArray[np.floating]:
    """Probability from log odds."""
    return 1 / (1 + np.exp(-odds))


def signed_sqrt(margin: NDArray[np.floating]) -> NDArray[np.floating]:
    """Signed square root of a margin: the first few standard scores carry most of the information."""
    return np.sign(margin) * np.sqrt(np.abs(margin))


def confidence_from_margin(
    probability: Float[np.ndarray, " cell"], margin: Float[np.ndarray, " cell"], coefficients: Mapping[str, Any]
) -> Float[np.ndarray, " cell"]:
    """Probability that the best candidate is right: ``logit P = top logit(p) + lead sqrt(m) + bias``.

    p is the candidate's probability and m its margin, whose root has the sign of m.

    The three coefficients are fitted on held-out studies, with all their types among the candidates and with one type
    removed (`okrcell.training.calibration`). NaN for a cell without expression.

    Raises
    ------
    CheckpointError
        If a coefficient is missing or not a number.
    """
    try:
        top, margin_weight, bias = (float(coefficients[name]) for name in CONFIDENCE_COEFFICIENTS)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError("The model's calibration is damaged; fetch the model again.") from None
    return sigmoid(top * log_odds(probability) + margin_weight * signed_sqrt(margin) + bias).astype(np.float32)
