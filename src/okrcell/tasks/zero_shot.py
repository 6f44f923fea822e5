"""Name cell types never seen with labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from okrcell.cells.expression import Expression
from okrcell.cells.samples.neighbours import drawn_to_neighbours, neighbour_graph, neighbours_share
from okrcell.cells.samples.sample import COMPONENTS, sample_components
from okrcell.errors import CheckpointError
from okrcell.model.embedder import Embedder, Progress
from okrcell.model.signature_head import Signatures
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.confidence import Answer, answer, certainty, joined, probabilities, temperature
from okrcell.tasks.evidence import known_vectors, sample_evidence

CELLS_AT_ONCE = 65_536
FEWEST_NEIGHBOURS = 30
"""In a smaller sample the nearest cells are not near."""


@dataclass(frozen=True)
class ZeroShot:
    """Answers for some cells."""

    candidates: tuple[Candidate, ...]
    scores: Float[np.ndarray, "cell candidate"]
    """What the answer was chosen by: evidence and similarity together, or, of a model without signatures, the similarity
    alone; NaN for a cell without expression."""
    probability: Float[np.ndarray, "cell candidate"]
    """Rows sum to 1, or are NaN."""
    answer: Answer
    temperature: float
    """What the scores were divided by to become probabilities."""
    similarity: Float[np.ndarray, "cell candidate"]
    """Cosine of cell and candidate in the common space, in [-1, 1]."""
    evidence: Float[np.ndarray, "cell candidate"] | None = None
    """What the genes say (`okrcell.tasks.evidence`); None of a model without signatures."""
    lead: Float[np.ndarray, " cell"] | None = None
    """How far the best candidate leads over types that nobody asked for; None likewise."""
    signatures: Signatures | None = None
    smoothed: bool = False
    """Whether cells were drawn to their neighbours in the sample."""

    @property
    def facts(self) -> dict[str, Any]:
        """Tell what the receipt should say: whether anything but the cell itself had a say in its name."""
        return {
            "temperature": self.temperature,
            "evidence_of_genes": self.evidence is not None,
            "compared_with": "the corpus" if self.evidence is None else "the sample, and the corpus",
            "smoothed_over_neighbours": self.smoothed,
        }


def name_by_words(
    expression: Expression,
    some: Sequence[Candidate],
    embedder: Embedder,
    *,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    smooth: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> ZeroShot:
    """Name each cell of a file by words alone.

    Evidence of the genes (method 11.3), similarity in the common space, and what the neighbours say (method 11.5) are
    fused with weights that were learned on studies left out in turn (method 11.4). A model without signatures has the
    similarity alone.

    Parameters
    ----------
    vectors
        Of the cells, as `Embedder.embed_cells` gives them; they are made if they are not given.
    smooth
        Draw each cell to its neighbours in the sample.
    seed
        Of the approximate search of neighbours in very large samples.
    progress
        Told how many cells of how many are embedded.
    """
    cells = embedder.embed_cells(expression, progress) if vectors is None else vectors
    genes = embedder.measured(expression)
    if embedder.signatures is None:
        return name_by_similarity(cells, some, embedder, genes)
    similarity = _similarity(cells, known_vectors(some, embedder))
    found = sample_evidence(expression, some, embedder)
    weight = _similarity_weight(embedder)
    scores, lead = found.score + weight * similarity, found.lead
    filled = np.flatnonzero(~np.isnan(lead))
    smooth = smooth and len(filled) >= FEWEST_NEIGHBOURS
    if smooth:
        graph = neighbour_graph(sample_components(expression, COMPONENTS)[filled], seed=seed)
        drawn = drawn_to_neighbours(
            np.column_stack([scores, lead])[filled].astype(np.float32), graph, share=neighbours_share(genes)
        )
        scores, lead = scores.copy(), lead.copy()
        scores[filled], lead[filled] = drawn[:, :-1], drawn[:, -1]
    divisor = temperature(
        embedder.facts, genes, "smoothed_evidence_temperature_by_genes" if smooth else "evidence_temperature_by_genes"
    )
    return _named(
        some, scores, lead, embedder, divisor,
        similarity=similarity, evidence=found.score, signatures=found.signatures, smoothed=smooth,
    )  # fmt: skip


def name_by_similarity(
    cells: Float[np.ndarray, "cell dim"], some: Sequence[Candidate], embedder: Embedder, genes: int
) -> ZeroShot:
    """Name cells by nothing but their vectors: for a model without signatures, and where no expression is at hand.

    Parameters
    ----------
    cells
        Unit vectors, NaN for a cell without expression.
    genes
        Number of the model's genes that the file measured; with fewer, confidence is lower.
    """
    similarity = _similarity(cells, candidate_vectors(some, embedder))
    divisor = temperature(embedder.facts, genes)
    return _named(some, similarity, None, embedder, divisor, similarity=similarity)


def _similarity_weight(embedder: Embedder) -> float:
    told = embedder.facts.get("calibration", {}).get("similarity_weight", 0.0)
    if not isinstance(told, int | float) or not np.isfinite(told):
        raise CheckpointError("The model's calibration is damaged; fetch the model again.")
    return float(told)


def _similarity(
    cells: Float[np.ndarray, "cell dim"], vectors: Float[np.ndarray, "candidate dim"]
) -> Float[np.ndarray, "cell candidate"]:
    return (cells @ vectors.T).astype(np.float32)


def _named(
    some: Sequence[Candidate],
    scores: Float[np.ndarray, "cell candidate"],
    lead: Float[np.ndarray, " cell"] | None,
    embedder: Embedder,
    divisor: float,
    **told: Any,
) -> ZeroShot:
    probability = np.empty_like(scores)
    parts: list[Answer] = []
    # In blocks, so that a million cells take the memory of their scores and no more.
    for start in range(0, max(len(scores), 1), CELLS_AT_ONCE):
        block = slice(start, start + CELLS_AT_ONCE)
        probability[block] = probabilities(scores[block], divisor)
        ahead = None if lead is None else lead[block]
        sure = None if lead is None else certainty(probability[block], some, ahead, embedder.facts)
        parts.append(answer(probability[block], some, sure))
    return ZeroShot(tuple(some), scores, probability, joined(parts), divisor, lead=lead, **told)
