"""SingleR, with the labelled cells of the reference."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.benchmarking.baselines.ground import expressed, labelled, logs_of, shared, vectors_in_place
from okrcell.benchmarking.cells import values_of
from okrcell.benchmarking.method import Named

CELLS_FOR_TESTS = 2
"""Minimum number of cells per label for marker detection by AUC."""


def annotate(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
    """Label cells by rank correlation with labelled ones on marker genes (Aran et al. 2019); ``seed`` is not used.

    Markers are selected by AUC between labels, as the package advises for single-cell references; on two pairs of
    pretraining sets this was more accurate than its default, in a fifth of the time.
    """
    known, asked = shared(reference, query)
    some, rows = np.intersect1d(labelled(labels), expressed(known)), expressed(asked)
    return _named(known[some], labels[some], asked[rows], rows, query.n_obs)


def few_shot(cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Named]:
    """Use the examples of each draw as reference."""
    rows = expressed(cells)
    logs = logs_of(cells, rows)
    for labels in draws:
        some = labelled(labels[rows])
        yield _named(logs[some], labels[rows][some], logs, rows, cells.n_obs)


def _named(known: AnnData, labels: NDArray[np.str_], asked: AnnData, rows: NDArray[np.intp], cells: int) -> Named:
    import singler  # pyright: ignore[reportMissingImports]

    names = np.unique(labels).tolist()
    if len(names) < 2:
        only = np.full(cells, "", dtype=object)
        only[rows] = names[0]
        return Named(only.astype(np.str_), tuple(names))
    genes: Any = known.var_names.tolist()
    # With a single cell of a label there is no AUC: markers are then the genes with the largest difference of medians.
    several = int(np.unique(labels, return_counts=True)[1].min()) >= CELLS_FOR_TESTS
    found = singler.annotate_single(
        test_data=_upright(asked),
        test_features=genes,
        ref_data=_upright(known),
        ref_features=genes,
        ref_labels=labels.tolist(),
        train_args={"marker_method": "auc" if several else "classic"},
        num_threads=1,
    )
    label = np.full(cells, "", dtype=object)
    label[rows] = np.array([str(word) for word in found["best"]], dtype=object)
    scores = np.column_stack([np.asarray(found["scores"][name]) for name in names])
    return Named(label.astype(np.str_), tuple(names), vectors_in_place(scores, rows, cells))


def _upright(cells: AnnData) -> sparse.csc_matrix:
    """Return X as (gene, cell), CSC with sorted indices, the format of SingleR."""
    values = sparse.csc_matrix(values_of(cells).T, dtype=np.float64)
    values.sort_indices()
    return values
