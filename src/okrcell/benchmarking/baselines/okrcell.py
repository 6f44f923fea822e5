"""okrcell's tools as methods of the benchmark."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.classical import (
    annotation_from_scores,
    batch_labels,
    labeled_rows,
    predict_logistic_regression,
)
from okrcell.benchmarking.methods import Annotation, MethodContext
from okrcell.benchmarking.resources import CachedEmbedder, load_cached
from okrcell.cells.expression import Expression, read_expression
from okrcell.model.embedder import Embedder
from okrcell.ontology.ontology import prefix_of

if TYPE_CHECKING:
    from okrcell.tasks.candidates import Candidate
    from okrcell.tasks.zero_shot import ZeroShotPrediction

EmbedderType = TypeVar("EmbedderType", bound=Embedder)


def without_similarity(model: EmbedderType) -> EmbedderType:
    """Return the model with a weight of 0 for the cosine of cell and text: signature scores alone."""
    calibration = model.facts.get("calibration", {})
    open_vocabulary = {**calibration.get("open_vocabulary", {}), "similarity": 0.0}
    reduced = copy.copy(model)
    reduced.facts = {
        **model.facts,
        "calibration": {**calibration, "similarity_weight": 0.0, "open_vocabulary": open_vocabulary},
    }
    return reduced


class _RawEmbeddingMethod:
    """Base class: embeds cells with the model."""

    def __init__(self, context: MethodContext) -> None:
        self._model: CachedEmbedder = load_cached(context.model)

    def _vectors(self, cells: AnnData) -> tuple[Float[np.ndarray, "cell dim"], NDArray[np.intp]]:
        vectors = self._model.embed_cells(read_expression(cells))
        return vectors, np.flatnonzero(~np.isnan(vectors[:, 0]))


class RawEmbedding(_RawEmbeddingMethod):
    """Cell vectors without further processing."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Return the cell vectors; ``batch_key`` and ``seed`` are not used."""
        return self._vectors(cells)[0]


class LinearProbeAnnotator(_RawEmbeddingMethod):
    """Logistic regression on the cell vectors of the reference (linear probe)."""

    def __call__(self, reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
        """Label each cell of the query; ``seed`` is not used."""
        reference_vectors, rows = self._vectors(reference)
        query_vectors, query_rows = self._vectors(query)
        train_rows = np.intersect1d(labeled_rows(labels), rows)
        return predict_logistic_regression(
            reference_vectors[train_rows], labels[train_rows], query_vectors[query_rows], query_rows, query.n_obs
        )


class FewShotLinearProbeAnnotator(_RawEmbeddingMethod):
    """Logistic regression on the cell vectors of the examples."""

    def __call__(self, cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Annotation]:
        """Label all cells for each draw; ``seed`` is not used."""
        vectors, rows = self._vectors(cells)
        for labels in draws:
            train_rows = np.intersect1d(labeled_rows(labels), rows)
            yield predict_logistic_regression(vectors[train_rows], labels[train_rows], vectors[rows], rows, cells.n_obs)


class _OkrcellTool:
    """Base class: loads the model, once per process."""

    def __init__(self, context: MethodContext) -> None:
        self._model: CachedEmbedder = load_cached(context.model)


class ClusterEmbedding(_OkrcellTool):
    """Representation that `okrcell.tl.cluster` builds its graph from."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Return the representation; ``batch_key`` is not used."""
        from okrcell.tasks.clustering import representation

        return representation(read_expression(cells), self._model, seed=seed)


class IntegratedEmbedding(_OkrcellTool):
    """`okrcell.tl.integrate`."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Return batch-corrected vectors."""
        from okrcell.tasks.integration import integrate

        batch = batch_labels(cells, batch_key, np.arange(cells.n_obs)) or [""] * cells.n_obs
        return integrate(read_expression(cells), self._model, np.array(batch, dtype=np.str_), seed=seed).vectors


class OkrcellReferenceAnnotator(_OkrcellTool):
    """`okrcell.tl.annotate` with a reference."""

    method: Literal["head", "encoder", "lora"] = "head"

    def __call__(self, reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
        """Label each cell of the query, with calibrated probabilities."""
        from okrcell.tasks.label_transfer import annotate_from_reference

        prediction = annotate_from_reference(
            read_expression(reference), labels, read_expression(query), self._model, method=self.method, seed=seed
        )
        return _to_annotation(prediction.probability, prediction.names)


class FineTunedEncoderAnnotator(OkrcellReferenceAnnotator):
    """`okrcell.tl.annotate` with a reference and method "encoder": the paper's fine-tuning."""

    method = "encoder"


class LoraAnnotator(OkrcellReferenceAnnotator):
    """`okrcell.tl.annotate` with a reference and method "lora"."""

    method = "lora"


class OkrcellFewShotAnnotator(_OkrcellTool):
    """`okrcell.tl.annotate` with examples."""

    def __call__(self, cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Annotation]:
        """Compute the features of the sample once, then label all cells for each draw of examples."""
        from okrcell.tasks.few_shot import annotate_few_shot, compute_sample_features

        expression = read_expression(cells)
        features = compute_sample_features(expression, self._model, seed)
        for labels in draws:
            prediction = annotate_few_shot(expression, labels, self._model, seed, sample_features=features)
            yield _to_annotation(prediction.probability, prediction.names)


class OkrcellZeroShotAnnotator(_OkrcellTool):
    """`okrcell.tl.annotate` with candidates alone."""

    smooth = True

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Annotation:
        """Label each cell by gene signatures of the candidates and by similarity to their texts.

        A candidate that is not a Cell Ontology id is read as free text, also if it is the name of a term.
        """
        parsed = [_read_candidate(entry) for entry in candidates]
        prediction = self._predict(read_expression(query), parsed, seed)
        return _with_confidence(_to_annotation(prediction.probability, candidates), prediction.prediction.confidence)

    def _predict(self, expression: Expression, candidates: "Sequence[Candidate]", seed: int) -> "ZeroShotPrediction":
        from okrcell.tasks.zero_shot import annotate_zero_shot

        return annotate_zero_shot(expression, candidates, self._model, smooth=self.smooth, seed=seed)


class CosineAnnotator(OkrcellZeroShotAnnotator):
    """The cosine of cell and text alone, of single cells."""

    def _predict(self, expression: Expression, candidates: "Sequence[Candidate]", seed: int) -> "ZeroShotPrediction":
        from okrcell.tasks.zero_shot import annotate_by_similarity

        vectors, n_genes = self._model.embed_cells(expression), self._model.n_measured_genes(expression)
        return annotate_by_similarity(vectors, candidates, self._model, n_genes)


class SignatureAnnotator(OkrcellZeroShotAnnotator):
    """Signature scores without the cosine of cell and text, smoothed over neighbours."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__(context)
        self._model = without_similarity(self._model)


class UnsmoothedAnnotator(OkrcellZeroShotAnnotator):
    """Signature scores and cosine of single cells."""

    smooth = False


class OkrcellOpenAnnotator(_OkrcellTool):
    """`okrcell.tl.annotate` without candidates."""

    smooth = True

    def __call__(self, query: AnnData, tissue: str | None, seed: int) -> Annotation:
        """Label each cell with any type of the Cell Ontology; the tissue is a prior, not a restriction."""
        from okrcell.tasks.open_vocabulary import annotate_open_vocabulary, read_tissues

        tissue_term = read_tissues(pd.DataFrame({"tissue": [tissue or ""]}))[0]
        prediction = annotate_open_vocabulary(
            read_expression(query), self._model, str(tissue_term), smooth=self.smooth, seed=seed
        )
        names = [candidate.term_id for candidate in prediction.candidates]
        return _with_confidence(_to_annotation(prediction.probability, names), prediction.prediction.confidence)


class OpenSignatureAnnotator(OkrcellOpenAnnotator):
    """Signature scores without the cosine of cell and text, all types as candidates."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__(context)
        self._model = without_similarity(self._model)


class OpenUnsmoothedAnnotator(OkrcellOpenAnnotator):
    """Signature scores and cosine of single cells, all types as candidates."""

    smooth = False


class OkrcellTextMatcher(_OkrcellTool):
    """Similarity of `okrcell.tl.find_cells` and `okrcell.tl.retrieval`."""

    def __call__(self, cells: AnnData, texts: Sequence[str], seed: int) -> Float[np.ndarray, "cell text"]:
        """Return the cosine similarity of each cell and each text; ``seed`` is not used."""
        return self._model.embed_cells(read_expression(cells)) @ self._model.embed_texts(texts).T


def _read_candidate(entry: str) -> "Candidate":
    from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate, parse_candidates

    return parse_candidates([entry])[0] if prefix_of(entry) == CELL_ONTOLOGY else Candidate(entry, "", (entry,))


def _with_confidence(annotation: Annotation, confidence: Float[np.ndarray, " cell"]) -> Annotation:
    return replace(annotation, confidence=np.where(annotation.label != "", confidence, np.nan))


def _to_annotation(probability: Float[np.ndarray, "cell name"], names: Sequence[str]) -> Annotation:
    rows = np.flatnonzero(~np.isnan(probability).any(axis=1))
    return annotation_from_scores(probability[rows], names, rows, len(probability))
