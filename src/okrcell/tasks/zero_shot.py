"""Zero-shot annotation: assign one of the given candidates to each cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from okrcell.cells.expression import Expression
from okrcell.cells.neighbors import knn_graph, smooth_over_knn, smoothing_weight
from okrcell.cells.pca import N_COMPONENTS, sample_pca
from okrcell.errors import CheckpointError
from okrcell.model.embedder import Embedder, Progress
from okrcell.model.signatures import Signatures
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.confidence import (
    Prediction,
    calibrated_temperature,
    concat,
    estimate_confidence,
    predict,
    probabilities,
)
from okrcell.model.sample_scores import score_sample, stored_candidate_vectors

CELL_CHUNK_SIZE = 65_536
MIN_SMOOTHING_CELLS = 30
"""Minimum number of cells for smoothing; in a smaller sample the nearest cells are not similar."""


@dataclass(frozen=True)
class ZeroShotPrediction:
    """Zero-shot predictions of cells."""

    candidates: tuple[Candidate, ...]
    scores: Float[np.ndarray, "cell candidate"]
    """Weighted sum of signature score and similarity, or the similarity alone for a model without signatures; NaN for a cell
    without expression."""
    probability: Float[np.ndarray, "cell candidate"]
    """Rows sum to 1, or are NaN."""
    prediction: Prediction
    temperature: float
    """Softmax temperature of the scores."""
    similarity: Float[np.ndarray, "cell candidate"]
    """Cosine similarity of cell and candidate, in [-1, 1]."""
    evidence: Float[np.ndarray, "cell candidate"] | None = None
    """Signature scores (`okrcell.model.sample_scores`); None for a model without signatures."""
    margin: Float[np.ndarray, " cell"] | None = None
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


def annotate_zero_shot(
    expression: Expression,
    candidates: Sequence[Candidate],
    embedder: Embedder,
    *,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    smooth: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> ZeroShotPrediction:
    """Assign one of the candidates to each cell by its texts alone, without labelled cells.

    Signature scores (method 11.3), similarity in the common space, and the scores of neighbours (method 11.5) are combined
    with weights fitted by leave-one-study-out (method 11.4). A model without signatures uses the similarity alone.

    Parameters
    ----------
    expression
        Expression of the cells.
    candidates
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
    cell_vectors = embedder.embed_cells(expression, progress) if vectors is None else vectors
    n_genes = embedder.n_measured_genes(expression)
    if embedder.signatures is None:
        return annotate_by_similarity(cell_vectors, candidates, embedder, n_genes)
    similarity = _cosine_similarity(cell_vectors, stored_candidate_vectors(candidates, embedder))
    sample_scores = score_sample(expression, candidates, embedder)
    similarity_weight = _similarity_weight(embedder)
    scores, margin = sample_scores.scores + similarity_weight * similarity, sample_scores.margin
    measured_rows = np.flatnonzero(~np.isnan(margin))
    smooth = smooth and len(measured_rows) >= MIN_SMOOTHING_CELLS
    if smooth:
        graph = knn_graph(sample_pca(expression, N_COMPONENTS)[measured_rows], seed=seed)
        smoothed = smooth_over_knn(
            np.column_stack([scores, margin])[measured_rows].astype(np.float32), graph, weight=smoothing_weight(n_genes)
        )
        scores, margin = scores.copy(), margin.copy()
        scores[measured_rows], margin[measured_rows] = smoothed[:, :-1], smoothed[:, -1]
    softmax_temperature = calibrated_temperature(
        embedder.facts, n_genes, "smoothed_evidence_temperature_by_genes" if smooth else "evidence_temperature_by_genes"
    )
    return _predict_chunks(
        candidates, scores, margin, embedder, softmax_temperature,
        similarity=similarity, evidence=sample_scores.scores, signatures=sample_scores.signatures, smoothed=smooth,
    )  # fmt: skip


def annotate_by_similarity(
    cell_vectors: Float[np.ndarray, "cell dim"], candidates: Sequence[Candidate], embedder: Embedder, n_genes: int
) -> ZeroShotPrediction:
    """Assign candidates by cosine similarity alone: for a model without signatures, or without expression.

    Parameters
    ----------
    cell_vectors
        Unit vectors of the cells, NaN for a cell without expression.
    candidates
        Candidate cell types.
    embedder
        Model that embeds the texts.
    n_genes
        Number of the model's genes that were measured; fewer genes give lower confidence.
    """
    similarity = _cosine_similarity(cell_vectors, candidate_vectors(candidates, embedder))
    softmax_temperature = calibrated_temperature(embedder.facts, n_genes)
    return _predict_chunks(candidates, similarity, None, embedder, softmax_temperature, similarity=similarity)


def _similarity_weight(embedder: Embedder) -> float:
    weight = embedder.facts.get("calibration", {}).get("similarity_weight", 0.0)
    if not isinstance(weight, int | float) or not np.isfinite(weight):
        raise CheckpointError("The model's calibration is damaged; fetch the model again.")
    return float(weight)


def _cosine_similarity(
    cell_vectors: Float[np.ndarray, "cell dim"], vectors: Float[np.ndarray, "candidate dim"]
) -> Float[np.ndarray, "cell candidate"]:
    return (cell_vectors @ vectors.T).astype(np.float32)


def _predict_chunks(
    candidates: Sequence[Candidate],
    scores: Float[np.ndarray, "cell candidate"],
    margin: Float[np.ndarray, " cell"] | None,
    embedder: Embedder,
    temperature: float,
    **fields: Any,
) -> ZeroShotPrediction:
    probability = np.empty_like(scores)
    parts: list[Prediction] = []
    # In blocks, so that memory is bounded by the scores.
    for start in range(0, max(len(scores), 1), CELL_CHUNK_SIZE):
        block = slice(start, start + CELL_CHUNK_SIZE)
        probability[block] = probabilities(scores[block], temperature)
        block_margin = None if margin is None else margin[block]
        confidence = (
            None
            if margin is None
            else estimate_confidence(probability[block], candidates, block_margin, embedder.facts)
        )
        parts.append(predict(probability[block], candidates, confidence))
    return ZeroShotPrediction(
        tuple(candidates), scores, probability, concat(parts), temperature, margin=margin, **fields
    )
