"""How sure the best candidate is: by its share among them, and by its lead over types that nobody asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from okrcell.errors import CheckpointError
from okrcell.knowledge.lineage import kin

SUREST = 1e-4
"""No probability is taken for certain: its odds are at most ten thousand to one."""
WEIGHTS = ("top", "lead", "bias")
"""Names of what is learned: the weight of the log odds of the share, of the lead, and what is added."""


def rivals(known: Sequence[str], candidates: Sequence[str]) -> Bool[np.ndarray, " type"]:
    """Say which types that a model knows are rivals of some candidates: those that are no kin of any.

    A kind of a candidate, or what it is a kind of, may be just what was meant.

    Parameters
    ----------
    known, candidates
        Cell Ontology ids; a candidate whose words name no type has "".
    """
    return np.asarray(~kin(known, candidates).any(axis=1))


def lead_over_rivals(
    best: Float[np.ndarray, " cell"], scores: Float[np.ndarray, "cell rival"]
) -> Float[np.ndarray, " cell"]:
    """Return how far the best candidate is ahead of the best rival, in units of the scores (ours).

    Something is always nearest: whoever lists liver cells finds hepatocytes in blood. What tells that no candidate fits is
    that a known type outside the list fits better.

    Parameters
    ----------
    best
        Score of each cell's best candidate, on the same scale as those of the rivals.
    scores
        Scores of the types that the model knows and that are `rivals`.

    Returns
    -------
    Below 0 where a rival fits better; 0 where there is no rival; NaN for a cell without expression.
    """
    if not scores.shape[1]:
        return np.where(np.isnan(best), np.nan, 0.0).astype(np.float32)
    return (best - scores.max(axis=1)).astype(np.float32)


def log_odds(share: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the logarithm of the odds of a probability, which is never taken for certain (`SUREST`)."""
    return np.log((share + SUREST) / (1 - share + SUREST))


def sigmoid(odds: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the probability of some log odds."""
    return 1 / (1 + np.exp(-odds))


def eased(lead: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the root of a lead, with its sign: the first few standard scores tell most."""
    return np.sign(lead) * np.sqrt(np.abs(lead))


def sureness(
    share: Float[np.ndarray, " cell"], lead: Float[np.ndarray, " cell"], learned: Mapping[str, Any]
) -> Float[np.ndarray, " cell"]:
    """Return the probability that the best candidate is right: ``logit P = top logit(share) + lead root(lead) + bias``.

    The three weights are learned on studies that were held out, with all their types among the candidates and with one
    taken out (`okrcell.training.calibration`). NaN for a cell without expression.

    Raises
    ------
    CheckpointError
        If a weight is missing or no number.
    """
    try:
        top, weight, bias = (float(learned[name]) for name in WEIGHTS)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError("The model's calibration is damaged; fetch the model again.") from None
    return sigmoid(top * log_odds(share) + weight * eased(lead) + bias).astype(np.float32)
