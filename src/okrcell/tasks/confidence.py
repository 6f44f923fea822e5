"""Calibrated probabilities, confidence, and back-off to broader terms of the Cell Ontology."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.errors import CheckpointError
from okrcell.model.marker_scores import CONFIDENCE_COEFFICIENTS, ODDS_EPSILON, confidence_from_margin
from okrcell.ontology.ontology import ontology
from okrcell.ontology.relations import ancestors_or_self, is_descendant
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate

ROOT_TERM = "CL:0000000"


CONFIDENCE_THRESHOLD = 0.5
SINGLE_CANDIDATE_PROBABILITY = 0.7
"""Probability assumed for a single candidate, which is compared with nothing: the margin decides. Chosen on two pretraining
studies: at most 5 % of the cells of other types are then confident of it, and 86 % or more of its own cells."""
TEMPERATURE_KEY = "temperature_by_genes"
DEFAULT_TEMPERATURE = 0.05
"""Temperature of a model without calibration: the initial temperature of training."""


def descendant_matrix(candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Return bool (candidate, candidate), True where the second is the first or a descendant of it.

    A CD4-positive T cell is a T cell, so the prediction "T cell" is right for it.
    """
    ids = [candidate.term_id for candidate in candidates]
    return is_descendant(ids, ids).T | np.eye(len(ids), dtype=bool)


def common_ancestors(candidates: Sequence[Candidate]) -> tuple[list[str], NDArray[np.bool_]]:
    """Return the terms with at least two candidates as descendants, broadest first, and bool (candidate, term)."""
    ancestors = ontology(CELL_ONTOLOGY).ancestors
    lineages = [ancestors_or_self(candidate.term_id) for candidate in candidates]
    shared_ids = {term for ancestor_ids in lineages for term in ancestor_ids if term != ROOT_TERM}
    counts = {term: sum(term in ancestor_ids for ancestor_ids in lineages) for term in shared_ids}
    # A common ancestor of all candidates carries no information about the cell.
    terms = [term for term in shared_ids if 2 <= counts[term] < len(candidates)]
    terms.sort(key=lambda term: (-counts[term], len(ancestors(term)), term))
    membership = [[term in ancestor_ids for term in terms] for ancestor_ids in lineages]
    return terms, np.array(membership, dtype=bool).reshape(len(candidates), len(terms))


@dataclass(frozen=True)
class Prediction:
    """Predicted candidate of each cell; arrays over cells."""

    best_idx: NDArray[np.intp]
    """Index of the most probable candidate; 0 for a cell without expression."""
    confidence: Float[np.ndarray, "cell"]
    """Probability that ``best_idx`` is right, in [0, 1]; 0 for a cell without expression."""
    status: NDArray[np.str_]
    """confident: the confidence is at least 0.5. broad: only the probability of ``broader_id`` is. unknown: neither is."""
    broader_id: NDArray[np.object_]
    """Cell Ontology id of the deepest term with a probability of at least 0.5, "" if there is none."""


def calibrated_temperature(facts: Mapping[str, Any], n_genes: int, key: str = TEMPERATURE_KEY) -> float:
    """Return the softmax temperature for a file in which ``n_genes`` of the model's genes were measured.

    Temperatures were fitted on held-out cells reduced to gene panels of several sizes, so that fewer genes give lower
    confidence. Between panel sizes the temperature is interpolated on a log scale.

    Parameters
    ----------
    facts
        Metadata of the model, with the fitted tables under ``calibration``.
    n_genes
        Number of the model's genes that were measured.
    key
        Name of the fitted table: for scores of single cells or for smoothed scores. If the model lacks it, `TEMPERATURE_KEY` is
        used; without any table, `DEFAULT_TEMPERATURE`.

    Raises
    ------
    CheckpointError
        If the table is damaged.
    """
    tables = facts.get("calibration", {})
    table = tables.get(key) or tables.get(TEMPERATURE_KEY)
    if not table:
        return DEFAULT_TEMPERATURE
    try:
        sizes, values = zip(*sorted((int(size), float(value)) for size, value in table.items()), strict=True)
    except (AttributeError, TypeError, ValueError):
        raise CheckpointError("The model's calibration is damaged; fetch the model again.") from None
    return float(np.exp(np.interp(np.log(max(n_genes, 1)), np.log(sizes), np.log(values))))


def confidence_coefficients(facts: Mapping[str, Any], n_genes: int) -> dict[str, float] | None:
    """Return the coefficients of the confidence for a file in which ``n_genes`` of the model's genes were measured.

    Between the panel sizes of the calibration each is interpolated on a log scale of size. None for a model without them.

    Raises
    ------
    CheckpointError
        If the table is damaged.
    """
    calibration = facts.get("calibration", {})
    table = calibration.get("right_by_genes")
    if not table:
        return calibration.get("right")
    try:
        sizes = sorted(int(size) for size in table)
        return {
            name: float(
                np.interp(np.log(max(n_genes, 1)), np.log(sizes), [float(table[str(size)][name]) for size in sizes])
            )
            for name in CONFIDENCE_COEFFICIENTS
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CheckpointError("The model's calibration is damaged; fetch the model again.") from None


def probabilities(
    scores: Float[np.ndarray, "cell candidate"], temperature: float
) -> Float[np.ndarray, "cell candidate"]:
    """Softmax of scores divided by the temperature ``temperature``; rows sum to 1, or are NaN for a cell without expression.

    With one candidate the probability is 1.
    """
    scaled = (scores - scores.max(axis=1, keepdims=True)) / temperature
    exp_scores = np.exp(scaled)
    return exp_scores / exp_scores.sum(axis=1, keepdims=True)


def estimate_confidence(
    probability: Float[np.ndarray, "cell candidate"],
    candidates: Sequence[Candidate],
    margin: Float[np.ndarray, "cell"] | None,
    coefficients: Mapping[str, Any] | None,
) -> Float[np.ndarray, "cell"]:
    """Return the probability that the most probable candidate is right; NaN for a cell without expression.

    The odds among the candidates and the margin over known types outside the candidates are combined with the weights of
    the model (`okrcell.model.marker_scores.confidence_from_margin`). The probability of the best candidate includes its
    descendants among the candidates, because a prediction is also right for its descendants: "T cell" has a high confidence
    if "CD4-positive T cell" is probable too. A model without these weights returns the probability itself.

    Parameters
    ----------
    probability
        Probabilities of the candidates; rows sum to 1, or are NaN.
    margin
        Margin from `okrcell.model.marker_scores.open_set_margin`; None if it was not computed.
    coefficients
        Coefficients of the model (`confidence_coefficients`).
    """
    best_prob = best_probability(probability, candidates)
    if not coefficients or margin is None:
        return best_prob
    # The probability of a single candidate is always 1 and carries no information.
    return confidence_from_margin(
        np.minimum(best_prob, SINGLE_CANDIDATE_PROBABILITY) if len(candidates) == 1 else best_prob, margin, coefficients
    )


def best_probability(
    probability: Float[np.ndarray, "cell candidate"], candidates: Sequence[Candidate]
) -> Float[np.ndarray, "cell"]:
    """Return the probability of the best candidate and its descendants, in [0, 1]; NaN for a cell without expression."""
    best_idx = np.where(np.isnan(probability), -np.inf, probability).argmax(axis=1)
    family_prob = (probability * descendant_matrix(candidates)[best_idx]).sum(axis=1)
    return np.minimum(family_prob, 1.0).astype(np.float32)


def predict(
    probability: Float[np.ndarray, "cell candidate"],
    candidates: Sequence[Candidate],
    confidence: Float[np.ndarray, "cell"] | None = None,
) -> Prediction:
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
        Confidence from `estimate_confidence`; by default the probability of the best candidate, as for mutually exclusive
        labels.
    """
    is_empty = np.asarray(np.isnan(probability).any(axis=1))
    candidate_prob = np.where(is_empty[:, None], 0.0, probability)
    best_idx = candidate_prob.argmax(axis=1)
    best_prob = candidate_prob[np.arange(len(candidate_prob)), best_idx].astype(np.float32)
    final_confidence = best_prob if confidence is None else np.where(is_empty, 0.0, confidence).astype(np.float32)
    status = np.where(final_confidence >= CONFIDENCE_THRESHOLD, "confident", "unknown").astype("<U9")
    terms, membership = common_ancestors(candidates)
    broader_ids = np.full(len(candidate_prob), "", dtype=object)
    uncertain = np.flatnonzero((status == "unknown") & ~is_empty)
    if len(terms) and len(uncertain):
        term_prob = candidate_prob[uncertain] @ membership.astype(candidate_prob.dtype)
        if confidence is not None:
            # A lower confidence in the best candidate lowers that of its ancestors by the same factor.
            family_prob = best_probability(candidate_prob[uncertain], candidates)
            term_prob = (
                term_prob * np.minimum(final_confidence[uncertain] / np.maximum(family_prob, ODDS_EPSILON), 1)[:, None]
            )
        above_threshold = term_prob >= CONFIDENCE_THRESHOLD
        # Terms are ordered from broad to deep: the last one above the threshold is the most specific.
        deepest_idx = len(terms) - 1 - above_threshold[:, ::-1].argmax(axis=1)
        has_broader = above_threshold.any(axis=1)
        broader_ids[uncertain[has_broader]] = np.array(terms, dtype=object)[deepest_idx[has_broader]]
        status[uncertain[has_broader]] = "broad"
    return Prediction(best_idx, final_confidence, status, broader_ids)


def concat(parts: Sequence[Prediction]) -> Prediction:
    """Concatenate the predictions of blocks of cells."""
    return Prediction(
        np.concatenate([part.best_idx for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.broader_id for part in parts]),
    )
