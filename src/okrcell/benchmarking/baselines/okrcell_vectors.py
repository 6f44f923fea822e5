"""The model's vectors alone, with the plainest method on top of them."""

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
    """What all of them need: the vectors of cells."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._model: Remembering = remembered(surroundings.model)

    def _vectors(self, cells: AnnData) -> tuple[Float[np.ndarray, "cell dim"], NDArray[np.intp]]:
        vectors = self._model.embed_cells(read_expression(cells))
        return vectors, np.flatnonzero(~np.isnan(vectors[:, 0]))


class Embeds(_WithModel):
    """The vectors as they are."""

    def __call__(self, cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell dim"]:
        """Return them; neither ``batch_key`` nor ``seed`` has a say."""
        return self._vectors(cells)[0]


class FromReference(_WithModel):
    """A logistic regression on the vectors of the reference (linear probe)."""

    def __call__(self, reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
        """Name each cell of the query; ``seed`` has no say."""
        known, rows = self._vectors(reference)
        asked, asked_rows = self._vectors(query)
        some = np.intersect1d(labelled(labels), rows)
        return predicted(known[some], labels[some], asked[asked_rows], asked_rows, query.n_obs)


class FromExamples(_WithModel):
    """A logistic regression on the vectors of the examples."""

    def __call__(self, cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Named]:
        """Name all cells for each draw; ``seed`` has no say."""
        vectors, rows = self._vectors(cells)
        for labels in draws:
            some = np.intersect1d(labelled(labels), rows)
            yield predicted(vectors[some], labels[some], vectors[rows], rows, cells.n_obs)
