"""Calibrated probabilities, confidence, and back-off to broader terms of the Cell Ontology."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.errors import CheckpointError
from okrcell.model.rivals import SUREST, sureness
from okrcell.tasks.candidates import Candidate
from okrcell.tasks.kin import shared_terms, within

MORE_LIKELY_THAN_NOT = 0.5
ALONE = 0.9
"""Probability assumed for a single candidate; about that of a correct prediction among several candidates."""
BY_GENES = "temperature_by_genes"
UNCALIBRATED = 0.05
"""Temperature of a model without calibration: the initial temperature of training."""


@dataclass(frozen=True)
class Answer:
    """Predicted candidate of each cell; arrays over cells."""

    best: NDArray[np.intp]
    """Index of the most probable candidate; 0 for a cell without expression."""
    confidence: Float[np.ndarray, "cell"]
    """Probability that ``best`` is right, in [0, 1]; 0 for a cell without expression."""
    status: NDArray[np.str_]
    """confident: the confidence is at least 0.5. broad: only the probability of ``broader`` is. unknown: neither is."""
    broader: NDArray[np.object_]
    """Cell Ontology id of the deepest term with a probability of at least 0.5, "" if there is none."""


def temperature(facts: Mapping[str, Any], genes: int, key: str = BY_GENES) -> float:
    """Return the softmax temperature for a file in which ``genes`` of the model's genes were measured.

    Temperatures were fitted on held-out cells reduced to gene panels of several sizes, so that fewer genes give lower
    confidence. Between panel sizes the temperature is interpolated on a log scale.

    Parameters
    ----------
    facts
        Metadata of the model, with the fitted tables under ``calibration``.
    genes
        Number of the model's genes that were measured.
    key
        Name of the fitted table: for scores of single cells or for smoothed scores. If the model lacks it, `BY_GENES` is
        used; without any table, `UNCALIBRATED`.

    Raises
    ------
    CheckpointError
        If the table is damaged.
    """
    tables = facts.get("calibration", {})
    fitted = tables.get(key) or tables.get(BY_GENES)
    if not fitted:
        return UNCALIBRATED
    try:
        sizes, values = zip(*sorted((int(size), float(value)) for size, value in fitted.items()), strict=True)
    except (AttributeError, TypeError, ValueError):
        raise CheckpointError("The model's calibration is damaged; fetch the model again.") from None
    return float(np.exp(np.interp(np.log(max(genes, 1)), np.log(sizes), np.log(values))))


def probabilities(scores: Float[np.ndarray, "cell candidate"], divisor: float) -> Float[np.ndarray, "cell candidate"]:
    """Softmax of scores divided by the temperature ``divisor``; rows sum to 1, or are NaN for a cell without expression.

    With one candidate the probability is 1.
    """
    raised = (scores - scores.max(axis=1, keepdims=True)) / divisor
    weight = np.exp(raised)
    return weight / weight.sum(axis=1, keepdims=True)


def certainty(
    probability: Float[np.ndarray, "cell candidate"],
    some: Sequence[Candidate],
    lead: Float[np.ndarray, "cell"] | None,
    facts: Mapping[str, Any],
) -> Float[np.ndarray, "cell"]:
    """Return the probability that the most probable candidate is right; NaN for a cell without expression.

    The odds among the candidates and the margin over known types outside the candidates are combined with the weights of
    the model (`okrcell.model.rivals.confidence_from_margin`). The probability of the best candidate includes its descendants
    among the candidates, because a prediction is also right for its descendants: "T cell" has a high confidence if
    "CD4-positive T cell" is probable too. A model without these weights returns the probability itself.

    Parameters
    ----------
    probability
        Probabilities of the candidates; rows sum to 1, or are NaN.
    lead
        Margin from `okrcell.model.rivals.open_set_margin`; None if it was not computed.
    facts
        Metadata of the model, with the weights under ``calibration``.
    """
    top = best_share(probability, some)
    learned = facts.get("calibration", {}).get("right")
    if not learned or lead is None:
        return top
    # The probability of a single candidate is always 1 and carries no information.
    return sureness(np.minimum(top, ALONE) if len(some) == 1 else top, lead, learned)


def best_share(
    probability: Float[np.ndarray, "cell candidate"], some: Sequence[Candidate]
) -> Float[np.ndarray, "cell"]:
    """Return the probability of the best candidate and its descendants, in [0, 1]; NaN for a cell without expression."""
    best = np.where(np.isnan(probability), -np.inf, probability).argmax(axis=1)
    share = (probability * within(some)[best]).sum(axis=1)
    return np.minimum(share, 1.0).astype(np.float32)


def answer(
    probability: Float[np.ndarray, "cell candidate"],
    some: Sequence[Candidate],
    confidence: Float[np.ndarray, "cell"] | None = None,
) -> Answer:
    """Choose the most probable candidate; if its confidence is below 0.5, back off along the Cell Ontology.

    The probability of a term is the sum over the candidates that are descendants of it (method 11.6). Candidates of
    different breadth compete as they are: a broad candidate neither receives the probability of its descendants nor passes
    its own on. If no candidate is confident, ``broader`` is the deepest common ancestor with a probability of at least 0.5,
    whether it is a candidate or not.

    Parameters
    ----------
    probability
        Probabilities of the candidates; rows sum to 1, or are NaN.
    confidence
        Confidence from `certainty`; by default the probability of the best candidate, as for mutually exclusive labels.
    """
    empty = np.asarray(np.isnan(probability).any(axis=1))
    shares = np.where(empty[:, None], 0.0, probability)
    best = shares.argmax(axis=1)
    own = shares[np.arange(len(shares)), best].astype(np.float32)
    sure = own if confidence is None else np.where(empty, 0.0, confidence).astype(np.float32)
    status = np.where(sure >= MORE_LIKELY_THAN_NOT, "confident", "unknown").astype("<U9")
    terms, belongs = shared_terms(some)
    broader = np.full(len(shares), "", dtype=object)
    doubtful = np.flatnonzero((status == "unknown") & ~empty)
    if len(terms) and len(doubtful):
        mass = shares[doubtful] @ belongs.astype(shares.dtype)
        if confidence is not None:
            # A lower confidence in the best candidate lowers that of its ancestors by the same factor.
            share = best_share(shares[doubtful], some)
            mass = mass * np.minimum(sure[doubtful] / np.maximum(share, SUREST), 1)[:, None]
        enough = mass >= MORE_LIKELY_THAN_NOT
        # Terms are ordered from broad to deep: the last one above the threshold is the most specific.
        deepest = len(terms) - 1 - enough[:, ::-1].argmax(axis=1)
        found = enough.any(axis=1)
        broader[doubtful[found]] = np.array(terms, dtype=object)[deepest[found]]
        status[doubtful[found]] = "broad"
    return Answer(best, sure, status, broader)


def joined(parts: Sequence[Answer]) -> Answer:
    """Concatenate the predictions of blocks of cells."""
    return Answer(
        np.concatenate([part.best for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.broader for part in parts]),
    )
