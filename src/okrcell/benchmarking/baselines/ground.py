"""The ground that the baselines share: cells that have expression, genes that both sides have."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.cells import log_normalised, values_of
from okrcell.benchmarking.method import Named
from okrcell.errors import InputError

FEWEST_SHARED = 10
"""Genes; with fewer in common, two files are not compared."""


def expressed(cells: AnnData) -> NDArray[np.intp]:
    """Return the rows of the cells that have any expression."""
    return np.flatnonzero(np.asarray(values_of(cells).sum(axis=1)).ravel() > 0)


def logs_of(cells: AnnData, rows: NDArray[np.intp]) -> AnnData:
    """Return some cells as log1p of counts per 10,000, without the genes that none of them has."""
    shown = log_normalised(cells[rows].copy())
    found = np.asarray(values_of(shown).sum(axis=0)).ravel() > 0
    return shown[:, found].copy()


def vectors_in_place(
    vectors: NDArray[np.floating], rows: NDArray[np.intp], cells: int
) -> Float[np.ndarray, "cell dim"]:
    """Put the vectors of ``rows`` in their places among all cells; the others are NaN."""
    placed = np.full((cells, vectors.shape[1]), np.nan, dtype=np.float32)
    placed[rows] = vectors
    return placed


def shared(reference: AnnData, query: AnnData) -> tuple[AnnData, AnnData]:
    """Return both sides as log1p of counts per 10,000 on the genes that both measured, in the reference's order.

    A cell's total is taken over those genes alone: a panel's total is otherwise not comparable with that of a whole
    transcriptome. Cells without any count among them stay zero.

    Raises
    ------
    InputError
        If the two have next to no gene names in common.
    """
    genes = reference.var_names[reference.var_names.isin(query.var_names)]
    if len(genes) < FEWEST_SHARED:
        seen = f"such as {', '.join(reference.var_names[:3])} and {', '.join(query.var_names[:3])}"
        raise InputError(f"Reference and query share {len(genes)} gene names ({seen}); they must name genes alike.")
    return log_normalised(reference[:, genes].copy()), log_normalised(query[:, genes].copy())


def named_in_place(
    probability: NDArray[np.floating],
    names: Sequence[str],
    rows: NDArray[np.intp],
    cells: int,
    *,
    sums_to_one: bool = True,
) -> Named:
    """Name the cells of ``rows`` by their highest score (cell, name); the others have no answer."""
    scores = vectors_in_place(probability, rows, cells)
    label = np.full(cells, "", dtype=object)
    label[rows] = np.array(names, dtype=object)[np.asarray(probability).argmax(axis=1)]
    return Named(label.astype(np.str_), tuple(names), scores, probabilities=sums_to_one)


def labelled(label: NDArray[np.str_]) -> NDArray[np.intp]:
    """Return the rows that have a label."""
    return np.flatnonzero(label != "")
