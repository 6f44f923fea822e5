"""k-nearest-neighbour classification on principal components."""

from collections.abc import Iterator, Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.ground import labelled, named_in_place
from okrcell.benchmarking.baselines.hvg_pca import components
from okrcell.benchmarking.baselines.projected import projected
from okrcell.benchmarking.method import Named

NEIGHBOURS = 5


def annotate(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
    """Label by majority vote of the 5 nearest reference cells, on 50 components of the reference."""
    known, asked, rows = projected(reference, query, seed)
    some = labelled(labels)
    return voted(known[some], labels[some], asked[rows], rows, query.n_obs, NEIGHBOURS)


def few_shot(cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Named]:
    """Label by majority vote of the nearest examples: k is the number of examples of the rarest label, at most 5."""
    vectors, rows = components(cells, None, seed)
    for labels in draws:
        some = labelled(labels[rows])
        rarest = int(np.unique(labels[rows][some], return_counts=True)[1].min(initial=NEIGHBOURS))
        yield voted(vectors[some], labels[rows][some], vectors, rows, cells.n_obs, rarest)


def voted(
    known: Float[np.ndarray, "known component"],
    labels: NDArray[np.str_],
    asked: Float[np.ndarray, "asked component"],
    rows: NDArray[np.intp],
    cells: int,
    neighbours: int,
) -> Named:
    """Label the cells ``asked`` by majority vote of their nearest labelled cells ``known``."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(neighbours, len(labels))).fit(known, labels)
    return named_in_place(model.predict_proba(asked), model.classes_.tolist(), rows, cells)
