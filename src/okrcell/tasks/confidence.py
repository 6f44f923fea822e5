"""How sure an answer is, and the broader one that is surer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.errors import CheckpointError
from okrcell.knowledge.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate

MORE_LIKELY_THAN_NOT = 0.5
ROOT = "CL:0000000"
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


def temperature(facts: Mapping[str, Any], genes: int) -> float:
    """Return what similarities are divided by to become probabilities, for a file that measured ``genes`` known genes.

    It was fitted on held-out cells shown with panels of several sizes, so that fewer genes give less confidence; between
    sizes it is interpolated on a log scale.
    """
    fitted = facts.get("calibration", {}).get("temperature_by_genes")
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


def answer(probability: Float[np.ndarray, "cell candidate"], some: Sequence[Candidate]) -> Answer:
    """Choose the likeliest candidate, and where it is less likely than not, back off along the Cell Ontology.

    The probability of a term is the sum over the candidates that are kinds of it (method 11.6).
    """
    empty = np.asarray(np.isnan(probability).any(axis=1))
    shares = np.where(empty[:, None], 0.0, probability)
    best = shares.argmax(axis=1)
    confidence = shares[np.arange(len(shares)), best].astype(np.float32)
    status = np.where(confidence >= MORE_LIKELY_THAN_NOT, "confident", "unknown").astype("<U9")
    terms, belongs = _lineages(some)
    broader = np.full(len(shares), "", dtype=object)
    doubtful = np.flatnonzero((status == "unknown") & ~empty)
    if len(terms) and len(doubtful):
        mass = shares[doubtful] @ belongs.astype(shares.dtype)
        # Terms are ordered from the broadest to the deepest: the last one that suffices is the most telling.
        enough = mass >= MORE_LIKELY_THAN_NOT
        deepest = len(terms) - 1 - enough[:, ::-1].argmax(axis=1)
        found = enough.any(axis=1)
        broader[doubtful[found]] = np.array(terms, dtype=object)[deepest[found]]
        status[doubtful[found]] = "broad"
    return Answer(best, confidence, status, broader)


def joined(parts: Sequence[Answer]) -> Answer:
    """Put the answers of blocks of cells in a row."""
    return Answer(
        np.concatenate([part.best for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.broader for part in parts]),
    )


def _lineages(some: Sequence[Candidate]) -> tuple[list[str], NDArray[np.bool_]]:
    """List the terms that at least two candidates are kinds of, with bool (candidate, term)."""
    cells = ontology(CELL_ONTOLOGY)
    lineage = [cells.ancestors(each.term_id) | {each.term_id} if each.term_id else frozenset[str]() for each in some]
    shared = {term for line in lineage for term in line if term != ROOT}
    counted = {term: sum(term in line for line in lineage) for term in shared}
    # A term that holds every candidate says nothing about the cell.
    terms = [term for term in shared if 2 <= counted[term] < len(some)]
    terms.sort(key=lambda term: (-counted[term], len(cells.ancestors(term)), term))
    return terms, np.array([[term in line for term in terms] for line in lineage], dtype=bool).reshape(
        len(some), len(terms)
    )
