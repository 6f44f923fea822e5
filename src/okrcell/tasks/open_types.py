"""Open-vocabulary annotation: assign Cell Ontology types without a list of candidates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from okrcell.cells.expression import Expression
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.candidates import Candidate, default_candidates, parse_candidates
from okrcell.tasks.confidence import Prediction, concat, estimate_confidence, predict, probabilities
from okrcell.tasks.open_vocabulary import PRIOR_WEIGHT, SIMILARITY_WEIGHT, TEMPERATURE, KNNSmoother, select_types
from okrcell.tasks.tissue_prior import TissuePrior
from okrcell.tasks.zero_shot import CELL_CHUNK_SIZE, annotate_zero_shot

DEFAULT_CONFIDENCE_WEIGHTS = {"calibration": {"right": {"top": 0.41, "lead": 0.0, "bias": 0.09}}}
"""Weights of the confidence for a model without ``calibration.open_right``; fitted on held-out pretraining studies
(docs/results/bundled-model.md)."""


@dataclass(frozen=True)
class OpenVocabularyPrediction:
    """Predictions without given candidates, with the types selected for the sample."""

    candidates: tuple[Candidate, ...]
    """Types selected for the sample, most frequent first."""
    scores: Float[np.ndarray, "cell candidate"]
    """Scores from which the probabilities are computed; NaN for a cell without expression."""
    probability: Float[np.ndarray, "cell candidate"]
    """Rows sum to 1, or are NaN."""
    prediction: Prediction
    """Its confidence is the probability that a cell is of this type or of a descendant."""
    facts: dict[str, Any]
    """Entries of the provenance record."""


def annotate_open_vocabulary(
    expression: Expression,
    embedder: Embedder,
    tissue: str | Sequence[str] | None = None,
    *,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    smooth: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> OpenVocabularyPrediction:
    """Select the Cell Ontology types that fit a sample (`select_types`), and assign one to each cell.

    Parameters
    ----------
    expression
        Expression of the cells.
    embedder
        Model with signatures; a model without signatures compares with the types of its training data.
    tissue
        Uberon id of the sample, or of each cell, "" if unknown. It changes the prior of the types and excludes none.
    vectors
        Unit vectors of the cells from the model; computed if not passed.
    smooth
        Average each cell's scores over its k nearest neighbours.
    seed
        Random seed of the approximate neighbour search in very large samples.
    progress
        Called with the number of embedded cells and their total.

    Raises
    ------
    InputError
        If the model has no signatures and does not list the types it was trained on.
    """
    cell_vectors = embedder.embed_cells(expression, progress) if vectors is None else vectors
    head = embedder.signatures
    if head is None:
        return _annotate_training_types(expression, embedder, cell_vectors)
    types = parse_candidates(head.types)
    type_vectors = head.vectors.numpy()
    prior = TissuePrior.from_facts(embedder.facts, head.types, tissue, expression.n_cells)
    smoother = KNNSmoother(expression, seed) if smooth else None
    panel = embedder.gene_panel(expression)
    selected_types = select_types(expression, head, panel, cell_vectors, type_vectors, prior, smoother)
    # Without any cell with expression there are no types; one column is kept so that arrays are not empty.
    type_idx = selected_types.type_idx if len(selected_types.type_idx) else np.zeros(1, dtype=np.intp)
    selected_candidates = [types[idx] for idx in type_idx]
    scores = np.full((expression.n_cells, len(selected_candidates)), np.nan, dtype=np.float32)
    start = 0
    for block in expression.blocks() if len(selected_types.type_idx) else ():
        signature_scores = selected_types.signature_scores(panel.log_normalize(block))
        rows = slice(start, start + len(signature_scores))
        scores[rows] = signature_scores + SIMILARITY_WEIGHT * (cell_vectors[rows] @ type_vectors[type_idx].T)
        start = rows.stop
    if smoother is not None:
        scores = smoother.smooth(scores, np.arange(len(cell_vectors)))
    probability, predictions = np.empty_like(scores), list[Prediction]()
    calibration = {"calibration": {"right": embedder.facts.get("calibration", {}).get("open_right")}}
    # In blocks, so that memory is bounded by the scores.
    for start in range(0, max(len(scores), 1), CELL_CHUNK_SIZE):
        block = slice(start, start + CELL_CHUNK_SIZE)
        scores[block] += TEMPERATURE * PRIOR_WEIGHT * prior.at(block, type_idx)
        probability[block] = probabilities(scores[block], TEMPERATURE)
        no_margin = np.zeros(len(probability[block]), dtype=np.float32)
        confidence = estimate_confidence(
            probability[block],
            selected_candidates,
            no_margin,
            calibration if calibration["calibration"]["right"] else DEFAULT_CONFIDENCE_WEIGHTS,
        )
        predictions.append(predict(probability[block], selected_candidates, confidence))
    facts = {
        "temperature": TEMPERATURE,
        "evidence_of_genes": True,
        "compared_with": "the sample, and the corpus",
        "smoothed_over_neighbours": smoother is not None and smoother.used,
        "types_considered": len(types),
        "tissues_as_prior": [name for name in prior.tissues if name],
    }
    return OpenVocabularyPrediction(tuple(selected_candidates), scores, probability, concat(predictions), facts)


def _annotate_training_types(
    expression: Expression, embedder: Embedder, cell_vectors: Float[np.ndarray, "cell dim"]
) -> OpenVocabularyPrediction:
    """Annotate with the training types of a model without signatures."""
    candidates = default_candidates(embedder)
    result = annotate_zero_shot(expression, candidates, embedder, vectors=cell_vectors)
    return OpenVocabularyPrediction(
        result.candidates,
        result.scores,
        result.probability,
        result.prediction,
        {**result.facts, "types_considered": len(candidates)},
    )
