"""Zero-shot annotation: assign one of the given candidates to each cell."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from okrcell.cells.expression import Expression
from okrcell.errors import CheckpointError
from okrcell.model.embedder import Embedder, Progress
from okrcell.model.sample_scores import (
    candidate_signatures,
    resembles_known_type,
    sample_knn_graph,
    score_sample,
    similar_cells,
    smooth_values,
    stored_candidate_vectors,
)
from okrcell.model.signatures import SignatureHead, Signatures
from okrcell.ontology.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate, candidate_vectors
from okrcell.tasks.confidence import (
    Prediction,
    calibrated_temperature,
    concat,
    confidence_coefficients,
    estimate_confidence,
    predict,
    probabilities,
)

CELL_CHUNK_SIZE = 65_536
COMPETITOR_RATIO = 2.0
"""No candidate fits a cell if a known type has at least this multiple of the best candidate's cosine similarity (ours)."""
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
    signature_scores: Float[np.ndarray, "cell candidate"] | None = None
    """Signature scores (`okrcell.model.sample_scores`); None for a model without signatures."""
    margin: Float[np.ndarray, " cell"] | None = None
    """Margin of the best candidate over known types outside the candidates; None for a model without signatures."""
    signatures: Signatures | None = None
    smoothed: bool = False
    """Whether scores were smoothed over neighbours."""
    competitor: NDArray[np.int32] | None = None
    """Index, in the types that the model knows, of the best type outside the candidates; -1 for none."""

    @property
    def facts(self) -> dict[str, Any]:
        """Entries of the provenance record: temperature, and whether other cells influenced a prediction."""
        return {
            "temperature": self.temperature,
            "evidence_of_genes": self.signature_scores is not None,
            "compared_with": "the corpus" if self.signature_scores is None else "the sample, and the corpus",
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
    with weights fitted by leave-one-study-out (method 11.4). The confidence is 0 for a candidate that is no known type, and
    whose texts resemble that of none, and for a cell that some known type resembles at least `COMPETITOR_RATIO` times as much
    as any candidate. A model without signatures uses the similarity alone.

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
    term_ids, texts = [entry.term_id for entry in candidates], [entry.texts for entry in candidates]
    similarity = candidate_similarity(cell_vectors, candidates, embedder)
    signatures = candidate_signatures(term_ids, texts, embedder)
    panel, head = embedder.gene_panel(expression), embedder.signatures
    sample_scores = score_sample(expression, panel, head, term_ids, signatures.combined, head.combined)
    scores = sample_scores.scores + _similarity_weight(embedder) * similarity
    margin, rows = sample_scores.margin, sample_scores.expressed_rows
    is_smoothed = smooth and len(rows) >= MIN_SMOOTHING_CELLS
    best_similarity, known_similarity = similarity.max(axis=1), _best_known_similarity(cell_vectors, embedder)
    if is_smoothed:
        graph = similar_cells(scores, rows, sample_knn_graph(expression, rows, seed))
        scores = smooth_values(scores, rows, graph)
        margin, best_similarity, known_similarity = smooth_values(
            np.column_stack([margin, best_similarity, known_similarity]), rows, graph
        ).T
    best_idx = np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1)
    # A sentence has a lower similarity to its cells than a name; without weight, similarity says nothing.
    is_outside = (
        (known_similarity > 0)
        & (_similarity_weight(embedder) > 0)
        & (COMPETITOR_RATIO * best_similarity < known_similarity)
        & np.array([bool(term_id) for term_id in term_ids])[best_idx]
    )
    softmax_temperature = calibrated_temperature(
        embedder.facts,
        n_genes,
        "smoothed_evidence_temperature_by_genes" if is_smoothed else "evidence_temperature_by_genes",
    )
    return _predict_chunks(
        candidates,
        scores,
        margin,
        confidence_coefficients(embedder.facts, n_genes),
        softmax_temperature,
        similarity=similarity,
        signature_scores=sample_scores.scores,
        signatures=signatures,
        smoothed=is_smoothed,
        competitor=sample_scores.competitor,
        fits=resembles_known_type(term_ids, texts, embedder)[best_idx] & ~is_outside,
    )


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
    return _predict_chunks(candidates, similarity, None, None, softmax_temperature, similarity=similarity)


def outside_types(result: ZeroShotPrediction, embedder: Embedder, top: int = 3) -> list[tuple[str, int]]:
    """Return the known types outside the candidates that most cells of status "unknown" resemble, with the number of cells."""
    if result.competitor is None or embedder.signatures is None:
        return []
    competitors = result.competitor[(result.prediction.status == "unknown") & (result.competitor >= 0)]
    types = embedder.signatures.types
    counts = Counter(competitors.tolist()).most_common(top)
    return [(ontology(CELL_ONTOLOGY).term(types[idx]).name, n_cells) for idx, n_cells in counts]


def _best_known_similarity(
    cell_vectors: Float[np.ndarray, "cell dim"], embedder: Embedder
) -> Float[np.ndarray, " cell"]:
    """Cosine similarity of each cell to the best of the known types, in chunks of cells."""
    vectors = cast(SignatureHead, embedder.signatures).vectors.numpy()
    best = np.empty(len(cell_vectors), dtype=np.float32)
    for start in range(0, len(cell_vectors), CELL_CHUNK_SIZE):
        chunk = slice(start, start + CELL_CHUNK_SIZE)
        best[chunk] = (cell_vectors[chunk] @ vectors.T).max(axis=1)
    return best


def candidate_similarity(
    cell_vectors: Float[np.ndarray, "cell dim"], candidates: Sequence[Candidate], embedder: Embedder
) -> Float[np.ndarray, "cell candidate"]:
    """Cosine similarity of cells and candidates, in [-1, 1]; NaN for a cell without expression."""
    if embedder.signatures is None:
        return _cosine_similarity(cell_vectors, candidate_vectors(candidates, embedder))
    term_ids, texts = [entry.term_id for entry in candidates], [entry.texts for entry in candidates]
    return _cosine_similarity(cell_vectors, stored_candidate_vectors(term_ids, texts, embedder))


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
    coefficients: Mapping[str, Any] | None,
    temperature: float,
    *,
    similarity: Float[np.ndarray, "cell candidate"],
    signature_scores: Float[np.ndarray, "cell candidate"] | None = None,
    signatures: Signatures | None = None,
    smoothed: bool = False,
    competitor: NDArray[np.int32] | None = None,
    fits: Bool[np.ndarray, " cell"] | None = None,
) -> ZeroShotPrediction:
    """Predict from scores, in chunks of cells, so that memory is bounded by the scores."""
    probability = np.empty_like(scores)
    parts: list[Prediction] = []
    for start in range(0, max(len(scores), 1), CELL_CHUNK_SIZE):
        chunk = slice(start, start + CELL_CHUNK_SIZE)
        probability[chunk] = probabilities(scores[chunk], temperature)
        confidence = None
        if margin is not None:
            confidence = estimate_confidence(probability[chunk], candidates, margin[chunk], coefficients)
            if fits is not None:
                confidence = np.where(fits[chunk], confidence, 0).astype(np.float32)
        parts.append(predict(probability[chunk], candidates, confidence))
    return ZeroShotPrediction(
        tuple(candidates),
        scores,
        probability,
        concat(parts),
        temperature,
        similarity,
        signature_scores,
        margin,
        signatures,
        smoothed,
        competitor,
    )
