"""Open-vocabulary annotation: assign Cell Ontology types without a list of candidates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from okrcell.cells.expression import Expression
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.candidates import Candidate, candidates, known_candidates
from okrcell.tasks.confidence import Answer, answer, certainty, joined, probabilities
from okrcell.tasks.sample_types import PRIOR_WEIGHT, SIMILARITY_WEIGHT, TEMPERATURE, Neighbours, sample_types
from okrcell.tasks.tissue_prior import TissuePrior
from okrcell.tasks.zero_shot import CELLS_AT_ONCE, name_by_words

SURENESS = {"calibration": {"right": {"top": 0.41, "lead": 0.0, "bias": 0.09}}}
"""Weights of the confidence for a model without ``calibration.open_right``; fitted on held-out pretraining studies
(docs/results/bundled-model.md)."""


@dataclass(frozen=True)
class OpenTypes:
    """Predictions without given candidates, with the types selected for the sample."""

    candidates: tuple[Candidate, ...]
    """Types selected for the sample, most frequent first."""
    scores: Float[np.ndarray, "cell candidate"]
    """Scores from which the probabilities are computed; NaN for a cell without expression."""
    probability: Float[np.ndarray, "cell candidate"]
    """Rows sum to 1, or are NaN."""
    answer: Answer
    """Its confidence is the probability that a cell is of this type or of a descendant."""
    facts: dict[str, Any]
    """Entries of the provenance record."""


def open_types(
    expression: Expression,
    embedder: Embedder,
    tissue: str | Sequence[str] | None = None,
    *,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    smooth: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> OpenTypes:
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
    cells = embedder.embed_cells(expression, progress) if vectors is None else vectors
    head = embedder.signatures
    if head is None:
        return _seen_types(expression, embedder, cells)
    types = candidates(head.types)
    type_vectors = head.vectors.numpy()
    prior = TissuePrior.of(embedder.facts, head.types, tissue, expression.n_cells)
    neighbours = Neighbours(expression, seed) if smooth else None
    panel = embedder.panel(expression)
    sample = sample_types(expression, head, panel, cells, type_vectors, prior, neighbours)
    # Without any cell with expression there are no types; one column is kept so that arrays are not empty.
    found = sample.places if len(sample.places) else np.zeros(1, dtype=np.intp)
    some = [types[number] for number in found]
    scores = np.full((expression.n_cells, len(some)), np.nan, dtype=np.float32)
    start = 0
    for block in expression.blocks() if len(sample.places) else ():
        told = sample.evidence(panel.logs(block))
        rows = slice(start, start + len(told))
        scores[rows] = told + SIMILARITY_WEIGHT * (cells[rows] @ type_vectors[found].T)
        start = rows.stop
    if neighbours is not None:
        scores = neighbours.drawn(scores, np.arange(len(cells)))
    probability, given = np.empty_like(scores), list[Answer]()
    believed = {"calibration": {"right": embedder.facts.get("calibration", {}).get("open_right")}}
    # In blocks, so that memory is bounded by the scores.
    for start in range(0, max(len(scores), 1), CELLS_AT_ONCE):
        block = slice(start, start + CELLS_AT_ONCE)
        scores[block] += TEMPERATURE * PRIOR_WEIGHT * prior.at(block, found)
        probability[block] = probabilities(scores[block], TEMPERATURE)
        nothing = np.zeros(len(probability[block]), dtype=np.float32)
        sure = certainty(probability[block], some, nothing, believed if believed["calibration"]["right"] else SURENESS)
        given.append(answer(probability[block], some, sure))
    facts = {
        "temperature": TEMPERATURE,
        "evidence_of_genes": True,
        "compared_with": "the sample, and the corpus",
        "smoothed_over_neighbours": neighbours is not None and neighbours.asked,
        "types_considered": len(types),
        "tissues_as_prior": [name for name in prior.tissues if name],
    }
    return OpenTypes(tuple(some), scores, probability, joined(given), facts)


def _seen_types(expression: Expression, embedder: Embedder, cells: Float[np.ndarray, "cell dim"]) -> OpenTypes:
    """Annotate with the training types of a model without signatures."""
    some = known_candidates(embedder)
    found = name_by_words(expression, some, embedder, vectors=cells)
    return OpenTypes(
        found.candidates, found.scores, found.probability, found.answer, {**found.facts, "types_considered": len(some)}
    )
