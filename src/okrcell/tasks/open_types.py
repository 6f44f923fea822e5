"""Name cells by whichever types of the Cell Ontology fit them, when nobody says what they may be."""

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
"""How far the share of an answer and its kinds is to be believed, where a model does not bring its own under
``calibration.open_right``: learned on pretraining studies that were held out (docs/results/bundled-model.md)."""


@dataclass(frozen=True)
class OpenTypes:
    """Answers for some cells, with the types that were found among them."""

    candidates: tuple[Candidate, ...]
    """The types that fit the sample, the most frequent first."""
    scores: Float[np.ndarray, "cell candidate"]
    """What the answer was chosen by; NaN for a cell without expression."""
    probability: Float[np.ndarray, "cell candidate"]
    """Rows sum to 1, or are NaN."""
    answer: Answer
    """Confidence is the probability that a cell is of this type or a kind of it."""
    facts: dict[str, Any]
    """What the receipt should say."""


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
    """Find the Cell Ontology types that fit a sample (`okrcell.tasks.sample_types`), and name each cell by one of them.

    Parameters
    ----------
    tissue
        Uberon id of the sample, or one for each cell, "" where it is not known. Nothing is excluded by it.
    vectors, smooth, seed, progress
        As for `okrcell.tasks.zero_shot.name_by_words`.

    Raises
    ------
    InputError
        If the model has no signatures and does not tell which types it has seen either.
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
    # Of cells that say nothing nothing is said; one name must be there for them not to be given.
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
    # In blocks, so that a million cells take the memory of their scores and no more.
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
    """Try the types that a model without signatures has seen in learning."""
    some = known_candidates(embedder)
    found = name_by_words(expression, some, embedder, vectors=cells)
    return OpenTypes(
        found.candidates, found.scores, found.probability, found.answer, {**found.facts, "types_considered": len(some)}
    )
