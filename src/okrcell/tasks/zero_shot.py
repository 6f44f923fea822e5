"""Name cell types never seen with labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.confidence import Answer, answer, joined, probabilities, temperature

CELLS_AT_ONCE = 65_536


@dataclass(frozen=True)
class ZeroShot:
    """Answers for some cells."""

    candidates: tuple[Candidate, ...]
    scores: Float[np.ndarray, "cell candidate"]
    """Cosine similarity of cell and candidate, in [-1, 1]; NaN for a cell without expression."""
    answer: Answer
    temperature: float
    """What the scores were divided by to become probabilities."""


def zero_shot(
    cells: Float[np.ndarray, "cell dim"], some: Sequence[Candidate], embedder: Embedder, genes: int
) -> ZeroShot:
    """Compare each cell with the texts of each candidate.

    Parameters
    ----------
    cells
        Unit vectors, NaN for a cell without expression.
    genes
        Number of the model's genes that the file measured; with fewer, confidence is lower.
    """
    vectors = candidate_vectors(some, embedder)
    divisor = temperature(embedder.facts, genes)
    scores = np.empty((len(cells), len(some)), dtype=np.float32)
    parts: list[Answer] = []
    # In blocks, so that a million cells take the memory of their scores and no more.
    for start in range(0, max(len(cells), 1), CELLS_AT_ONCE):
        block = slice(start, start + CELLS_AT_ONCE)
        scores[block] = cells[block] @ vectors.T
        parts.append(answer(probabilities(scores[block], divisor), some))
    return ZeroShot(tuple(some), scores, joined(parts), divisor)
