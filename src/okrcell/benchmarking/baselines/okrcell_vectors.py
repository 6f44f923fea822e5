"""The model's cell vectors alone: as an embedding, and with a linear probe."""

from collections.abc import Iterator, Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.ground import labelled
from okrcell.benchmarking.baselines.logistic_regression import predicted
from okrcell.benchmarking.method import Named, Surroundings
from okrcell.benchmarking.remembering import Remembering, remembered
from okrcell.cells.expression import read_expression


class _WithModel:
    """Base class: embeds cells with the model."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._model: Remembering = remembered(surroundings.model)

    def _vectors(self, cells: AnnData) -> tuple[Float[np.ndarray, "cell dim"], NDArray[np.intp]]:
        vectors = self._model.embed_cells(read_expression(cells))
        return vectors, np.flatnonzero(~np.isnan(vectors[:, 0]))


class Embeds(_WithModel):
    """Cell vectors without further processing."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Return the cell vectors; ``batch_key`` and ``seed`` are not used."""
        return self._vectors(cells)[0]


class FromReference(_WithModel):
    """Logistic regression on the cell vectors of the reference (linear probe)."""

    def __call__(self, reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
        """Label each cell of the query; ``seed`` is not used."""
        known, rows = self._vectors(reference)
        asked, asked_rows = self._vectors(query)
        some = np.intersect1d(labelled(labels), rows)
        return predicted(known[some], labels[some], asked[asked_rows], asked_rows, query.n_obs)


class FromExamples(_WithModel):
    """Logistic regression on the cell vectors of the examples."""

    def __call__(self, cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Named]:
        """Label all cells for each draw; ``seed`` is not used."""
        vectors, rows = self._vectors(cells)
        for labels in draws:
            some = np.intersect1d(labelled(labels), rows)
            yield predicted(vectors[some], labels[some], vectors[rows], rows, cells.n_obs)
