"""Helpers of the baselines: expressed cells, shared genes, predictions of a subset of cells."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.cells import log_normalised, values_of
from okrcell.benchmarking.method import Named
from okrcell.errors import InputError

FEWEST_SHARED = 10
"""Minimum number of genes that reference and query share."""


def expressed(cells: AnnData) -> NDArray[np.intp]:
    """Return the indices of the cells with any expression."""
    return np.flatnonzero(np.asarray(values_of(cells).sum(axis=1)).ravel() > 0)


def logs_of(cells: AnnData, rows: NDArray[np.intp]) -> AnnData:
    """Return the cells ``rows`` as log1p of counts per 10,000, without genes that none of them expresses."""
    shown = log_normalised(cells[rows].copy())
    found = np.asarray(values_of(shown).sum(axis=0)).ravel() > 0
    return shown[:, found].copy()


def vectors_in_place(
    vectors: NDArray[np.floating], rows: NDArray[np.intp], cells: int
) -> Float[np.ndarray, "cell dim"]:
    """Return an array over all ``cells`` with the vectors of ``rows``; other cells have NaN."""
    placed = np.full((cells, vectors.shape[1]), np.nan, dtype=np.float32)
    placed[rows] = vectors
    return placed


def shared(reference: AnnData, query: AnnData) -> tuple[AnnData, AnnData]:
    """Return both sides as log1p of counts per 10,000 on their shared genes, in the order of the reference.

    Totals are over the shared genes, because the total of a gene panel is not comparable with that of a whole
    transcriptome. Cells without counts of these genes stay zero.

    Raises
    ------
    InputError
        If the two share fewer than 10 gene names.
    """
    genes = reference.var_names[reference.var_names.isin(query.var_names)]
    if len(genes) < FEWEST_SHARED:
        seen = f"such as {', '.join(reference.var_names[:3])} and {', '.join(query.var_names[:3])}"
        raise InputError(
            f"Reference and query share only {len(genes)} gene names ({seen}); they must name genes alike."
        )
    return log_normalised(reference[:, genes].copy()), log_normalised(query[:, genes].copy())


def named_in_place(
    probability: NDArray[np.floating],
    names: Sequence[str],
    rows: NDArray[np.intp],
    cells: int,
    *,
    sums_to_one: bool = True,
) -> Named:
    """Label the cells ``rows`` by their highest score (cell, name); other cells have no prediction."""
    scores = vectors_in_place(probability, rows, cells)
    label = np.full(cells, "", dtype=object)
    label[rows] = np.array(names, dtype=object)[np.asarray(probability).argmax(axis=1)]
    return Named(label.astype(np.str_), tuple(names), scores, probabilities=sums_to_one)


def labelled(label: NDArray[np.str_]) -> NDArray[np.intp]:
    """Return the indices of the labelled cells."""
    return np.flatnonzero(label != "")
