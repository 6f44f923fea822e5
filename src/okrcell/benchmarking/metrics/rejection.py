"""Unknown-type detection: confidence of cells whose true type is, or is not, a candidate."""

import numpy as np
from jaxtyping import Bool, Float

from okrcell.benchmarking.method import Named
from okrcell.benchmarking.scores import auroc

Sure = dict[str, Float[np.ndarray, "cell"]]
"""Confidence measure to its value for each cell; NaN without prediction."""


def auroc_of_fitting(sure: Float[np.ndarray, "cell"], offered: Bool[np.ndarray, "cell"]) -> float:
    """Return the AUROC of the confidence, cells whose type is a candidate against cells whose type is not.

    Cells without prediction (NaN) have the lowest confidence. NaN if one of the groups is empty.
    """
    return auroc(offered, np.where(np.isnan(sure), -np.inf, sure).astype(np.float64))


def ways_to_be_sure(named: Named) -> Sure:
    """Return the confidence measures that a prediction allows.

    confidence: reported by the method. best: highest score. margin: highest minus second highest score. An empty dict
    without scores and confidence.
    """
    answered = named.label != ""
    ways: Sure = {}
    if named.confidence is not None:
        ways["confidence"] = named.confidence
    if named.scores is not None and len(named.names) > 1:
        second, best = np.sort(named.scores, axis=1)[:, -2:].T.astype(np.float64)
        ways["best"] = best
        # A label that cannot be predicted has -inf; if the best is -inf too, there is no prediction.
        ways["margin"] = np.where(np.isinf(best), np.nan, best - np.where(np.isinf(best), 0, second))
    return {way: np.where(answered, sure, np.nan) for way, sure in ways.items()}
