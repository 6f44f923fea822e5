"""Helpers of the baselines: expressed cells, shared genes, predictions of a subset of cells."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.cells import get_matrix, log_normalize
from okrcell.benchmarking.method import Annotation
from okrcell.errors import InputError

MIN_SHARED_GENES = 10
"""Minimum number of genes that reference and query share."""


def expressed_rows(cells: AnnData) -> NDArray[np.intp]:
    """Return the indices of the cells with any expression."""
    return np.flatnonzero(np.asarray(get_matrix(cells).sum(axis=1)).ravel() > 0)


def log_expression(cells: AnnData, rows: NDArray[np.intp]) -> AnnData:
    """Return the cells ``rows`` as log1p of counts per 10,000, without genes that none of them expresses."""
    log_expr = log_normalize(cells[rows].copy())
    is_expressed = np.asarray(get_matrix(log_expr).sum(axis=0)).ravel() > 0
    return log_expr[:, is_expressed].copy()


def scatter_rows(vectors: NDArray[np.floating], rows: NDArray[np.intp], cells: int) -> Float[np.ndarray, "cell dim"]:
    """Return an array over all ``cells`` with the vectors of ``rows``; other cells have NaN."""
    scattered = np.full((cells, vectors.shape[1]), np.nan, dtype=np.float32)
    scattered[rows] = vectors
    return scattered


def shared_log_expression(reference: AnnData, query: AnnData) -> tuple[AnnData, AnnData]:
    """Return both sides as log1p of counts per 10,000 on their shared genes, in the order of the reference.

    Totals are over the shared genes, because the total of a gene panel is not comparable with that of a whole
    transcriptome. Cells without counts of these genes stay zero.

    Raises
    ------
    InputError
        If the two share fewer than 10 gene names.
    """
    genes = reference.var_names[reference.var_names.isin(query.var_names)]
    if len(genes) < MIN_SHARED_GENES:
        examples = f"such as {', '.join(reference.var_names[:3])} and {', '.join(query.var_names[:3])}"
        raise InputError(
            f"Reference and query share only {len(genes)} gene names ({examples}); they must name genes alike."
        )
    return log_normalize(reference[:, genes].copy()), log_normalize(query[:, genes].copy())


def annotation_from_scores(
    probability: NDArray[np.floating],
    names: Sequence[str],
    rows: NDArray[np.intp],
    cells: int,
    *,
    sums_to_one: bool = True,
) -> Annotation:
    """Label the cells ``rows`` by their highest score (cell, name); other cells have no prediction."""
    scores = scatter_rows(probability, rows, cells)
    label = np.full(cells, "", dtype=object)
    label[rows] = np.array(names, dtype=object)[np.asarray(probability).argmax(axis=1)]
    return Annotation(label.astype(np.str_), tuple(names), scores, probabilities=sums_to_one)


def labeled_rows(label: NDArray[np.str_]) -> NDArray[np.intp]:
    """Return the indices of the labelled cells."""
    return np.flatnonzero(label != "")
