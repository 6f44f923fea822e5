"""How sure an answer is, and the broader one that is surer."""

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
"""What the share of an only candidate is taken for: about that of a good answer among several."""
BY_GENES = "temperature_by_genes"
UNCALIBRATED = 0.05
"""Temperature for a model that has none; the one its training starts with."""


@dataclass(frozen=True)
class Answer:
    """What is said of each cell; arrays over cells."""

    best: NDArray[np.intp]
    """Place of the likeliest candidate; 0 for a cell without expression."""
    confidence: Float[np.ndarray, "cell"]
    """Probability that ``best`` is right, in [0, 1]; 0 for a cell without expression."""
    status: NDArray[np.str_]
    """confident: ``best`` is more likely than not. broad: only ``broader`` is. unknown: neither is."""
    broader: NDArray[np.object_]
    """Cell Ontology id of the deepest term that is more likely than not, "" if there is none."""


def temperature(facts: Mapping[str, Any], genes: int, key: str = BY_GENES) -> float:
    """Return what scores are divided by to become probabilities, for a file that measured ``genes`` known genes.

    It was fitted on held-out cells shown with panels of several sizes, so that fewer genes give less confidence; between
    sizes it is interpolated on a log scale.

    Parameters
    ----------
    key
        Which of the fitted tables: that for scores of one cell by itself, or for those drawn to its neighbours. Where a model
        lacks it, `BY_GENES`.

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
    """Softmax of similarities divided by ``divisor``; rows sum to 1, or are NaN for a cell without expression.

    With one candidate there is nothing to compare with and the probability is 1.
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
    """Return the probability that the likeliest candidate is right; NaN for a cell without expression.

    The odds that it is right among the candidates, and how far it leads over types that are not among them, are weighed as
    the model has learned (`okrcell.model.rivals.sureness`). The share of the best includes
    candidates that are kinds of it: an answer is right of its kinds as well, so a "T cell" is sure where a "CD4-positive
    T cell" beside it is likely too. A model that has not learned this gives the share itself.

    Parameters
    ----------
    probability
        Rows sum to 1, or are NaN.
    lead
        As `okrcell.model.rivals.lead_over_rivals` gives it; None where it is not known.
    """
    top = best_share(probability, some)
    learned = facts.get("calibration", {}).get("right")
    if not learned or lead is None:
        return top
    # Where one is alone its share of 1 tells nothing.
    return sureness(np.minimum(top, ALONE) if len(some) == 1 else top, lead, learned)


def best_share(
    probability: Float[np.ndarray, "cell candidate"], some: Sequence[Candidate]
) -> Float[np.ndarray, "cell"]:
    """Return the probability of the likeliest candidate and its kinds, in [0, 1]; NaN for a cell without expression."""
    best = np.where(np.isnan(probability), -np.inf, probability).argmax(axis=1)
    share = (probability * within(some)[best]).sum(axis=1)
    return np.minimum(share, 1.0).astype(np.float32)


def answer(
    probability: Float[np.ndarray, "cell candidate"],
    some: Sequence[Candidate],
    confidence: Float[np.ndarray, "cell"] | None = None,
) -> Answer:
    """Choose the likeliest candidate, and where it is less likely than not, back off along the Cell Ontology.

    The probability of a term is the sum over the candidates that are kinds of it (method 11.6). Candidates of different
    breadth compete as they are: a broad one neither gets the shares of its kinds nor gives its own away. Where kinds are in
    doubt, their common parent is ``broader``, be it a candidate or not.

    Parameters
    ----------
    confidence
        As `certainty` gives it; by default the probability of the best candidate, as of labels that exclude each other.
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
            # What speaks against all candidates speaks against what they have in common, too.
            share = best_share(shares[doubtful], some)
            mass = mass * np.minimum(sure[doubtful] / np.maximum(share, SUREST), 1)[:, None]
        enough = mass >= MORE_LIKELY_THAN_NOT
        # Terms are ordered from the broadest to the deepest: the last one that suffices is the most telling.
        deepest = len(terms) - 1 - enough[:, ::-1].argmax(axis=1)
        found = enough.any(axis=1)
        broader[doubtful[found]] = np.array(terms, dtype=object)[deepest[found]]
        status[doubtful[found]] = "broad"
    return Answer(best, sure, status, broader)


def joined(parts: Sequence[Answer]) -> Answer:
    """Put the answers of blocks of cells in a row."""
    return Answer(
        np.concatenate([part.best for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.broader for part in parts]),
    )
