"""Name cell types never seen with labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.confidence import Answer, answer, probabilities, temperature


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
    scores = cells @ candidate_vectors(some, embedder).T
    heat = temperature(embedder.facts, genes)
    return ZeroShot(tuple(some), scores, answer(probabilities(scores, heat), some), heat)
