"""Zero-shot annotation: assign one of the given candidates to each cell."""

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
"""Minimum number of cells for smoothing; in a smaller sample the nearest cells are not similar."""


@dataclass(frozen=True)
class ZeroShot:
    """Zero-shot predictions of cells."""

    candidates: tuple[Candidate, ...]
    scores: Float[np.ndarray, "cell candidate"]
    """Weighted sum of signature score and similarity, or the similarity alone for a model without signatures; NaN for a cell
    without expression."""
    probability: Float[np.ndarray, "cell candidate"]
    """Rows sum to 1, or are NaN."""
    answer: Answer
    temperature: float
    """Softmax temperature of the scores."""
    similarity: Float[np.ndarray, "cell candidate"]
    """Cosine similarity of cell and candidate, in [-1, 1]."""
    evidence: Float[np.ndarray, "cell candidate"] | None = None
    """Signature scores (`okrcell.tasks.evidence`); None for a model without signatures."""
    lead: Float[np.ndarray, " cell"] | None = None
    """Margin of the best candidate over known types outside the candidates; None for a model without signatures."""
    signatures: Signatures | None = None
    smoothed: bool = False
    """Whether scores were smoothed over neighbours."""

    @property
    def facts(self) -> dict[str, Any]:
        """Entries of the provenance record: temperature, and whether other cells influenced a prediction."""
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
    """Assign one of the candidates to each cell by its texts alone, without labelled cells.

    Signature scores (method 11.3), similarity in the common space, and the scores of neighbours (method 11.5) are combined
    with weights fitted by leave-one-study-out (method 11.4). A model without signatures uses the similarity alone.

    Parameters
    ----------
    expression
        Expression of the cells.
    some
        Candidate cell types.
    embedder
        Model that embeds cells and texts.
    vectors
        Vectors of the cells from `Embedder.embed_cells`; computed if not passed.
    smooth
        Average each cell's scores over its k nearest neighbours.
    seed
        Random seed of the approximate neighbour search in very large samples.
    progress
        Called with the number of embedded cells and their total.
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
    """Assign candidates by cosine similarity alone: for a model without signatures, or without expression.

    Parameters
    ----------
    cells
        Unit vectors of the cells, NaN for a cell without expression.
    some
        Candidate cell types.
    embedder
        Model that embeds the texts.
    genes
        Number of the model's genes that were measured; fewer genes give lower confidence.
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
    # In blocks, so that memory is bounded by the scores.
    for start in range(0, max(len(scores), 1), CELLS_AT_ONCE):
        block = slice(start, start + CELLS_AT_ONCE)
        probability[block] = probabilities(scores[block], divisor)
        ahead = None if lead is None else lead[block]
        sure = None if lead is None else certainty(probability[block], some, ahead, embedder.facts)
        parts.append(answer(probability[block], some, sure))
    return ZeroShot(tuple(some), scores, probability, joined(parts), divisor, lead=lead, **told)
