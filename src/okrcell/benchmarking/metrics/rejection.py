"""Whether a method knows that the right name is not among those offered."""

import numpy as np
from jaxtyping import Bool, Float

from okrcell.benchmarking.method import Named
from okrcell.benchmarking.scores import auroc

Sure = dict[str, Float[np.ndarray, "cell"]]
"""By each way to be sure, how sure a method is of each cell's name; NaN where it has none."""


def auroc_of_fitting(sure: Float[np.ndarray, "cell"], offered: Bool[np.ndarray, "cell"]) -> float:
    """Return the chance that a cell whose type was offered is surer of its name than one whose type was not, ties half.

    A cell without an answer (NaN) is the least sure. NaN if there are no cells of either side.
    """
    return auroc(offered, np.where(np.isnan(sure), -np.inf, sure).astype(np.float64))


def ways_to_be_sure(named: Named) -> Sure:
    """Return how sure a method is of each cell's name, by each way that its answer allows.

    confidence: what it says itself. best: its highest score. margin: how far that is above the second. None at all gives an
    empty dict.
    """
    answered = named.label != ""
    ways: Sure = {}
    if named.confidence is not None:
        ways["confidence"] = named.confidence
    if named.scores is not None and len(named.names) > 1:
        second, best = np.sort(named.scores, axis=1)[:, -2:].T.astype(np.float64)
        ways["best"] = best
        # A name that can never be given has -inf; where both are, there was no answer anyway.
        ways["margin"] = np.where(np.isinf(best), np.nan, best - np.where(np.isinf(best), 0, second))
    return {way: np.where(answered, sure, np.nan) for way, sure in ways.items()}
