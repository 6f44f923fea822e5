"""The model's cell vectors alone: as an embedding, and with a linear probe."""

from collections.abc import Iterator, Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.classical import labeled_rows
from okrcell.benchmarking.baselines.logistic_regression import predict_logistic_regression
from okrcell.benchmarking.method import Annotation, MethodContext
from okrcell.benchmarking.resources import CachedEmbedder, load_cached
from okrcell.cells.expression import read_expression


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
