"""SingleR, with the labelled cells of the reference."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.benchmarking.baselines.classical import (
    expressed_rows,
    labeled_rows,
    log_expression,
    scatter_rows,
    shared_log_expression,
)
from okrcell.benchmarking.methods import Annotation, get_matrix

MIN_AUC_CELLS = 2
"""Minimum number of cells per label for marker detection by AUC."""


def annotate(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
    """Label cells by rank correlation with labelled ones on marker genes (Aran et al. 2019); ``seed`` is not used.

    Markers are selected by AUC between labels, as the package advises for single-cell references; on two pairs of
    pretraining sets this was more accurate than its default, in a fifth of the time.
    """
    reference_log, query_log = shared_log_expression(reference, query)
    train_rows, rows = np.intersect1d(labeled_rows(labels), expressed_rows(reference_log)), expressed_rows(query_log)
    return _annotate(reference_log[train_rows], labels[train_rows], query_log[rows], rows, query.n_obs)


def few_shot(cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Annotation]:
    """Use the examples of each draw as reference."""
    rows = expressed_rows(cells)
    log_expr = log_expression(cells, rows)
    for labels in draws:
        train_rows = labeled_rows(labels[rows])
        yield _annotate(log_expr[train_rows], labels[rows][train_rows], log_expr, rows, cells.n_obs)


def _annotate(
    reference_log: AnnData, labels: NDArray[np.str_], query_log: AnnData, rows: NDArray[np.intp], cells: int
) -> Annotation:
    import singler  # pyright: ignore[reportMissingImports]

    names = np.unique(labels).tolist()
    if len(names) < 2:
        single_label = np.full(cells, "", dtype=object)
        single_label[rows] = names[0]
        return Annotation(single_label.astype(np.str_), tuple(names))
    genes: Any = reference_log.var_names.tolist()
    # With a single cell of a label there is no AUC: markers are then the genes with the largest difference of medians.
    use_auc = int(np.unique(labels, return_counts=True)[1].min()) >= MIN_AUC_CELLS
    predictions = singler.annotate_single(
        test_data=_to_gene_by_cell(query_log),
        test_features=genes,
        ref_data=_to_gene_by_cell(reference_log),
        ref_features=genes,
        ref_labels=labels.tolist(),
        train_args={"marker_method": "auc" if use_auc else "classic"},
        num_threads=1,
    )
    label = np.full(cells, "", dtype=object)
    label[rows] = np.array([str(best_label) for best_label in predictions["best"]], dtype=object)
    scores = np.column_stack([np.asarray(predictions["scores"][name]) for name in names])
    return Annotation(label.astype(np.str_), tuple(names), scatter_rows(scores, rows, cells))


def _to_gene_by_cell(cells: AnnData) -> sparse.csc_matrix:
    """Return X as (gene, cell), CSC with sorted indices, the format of SingleR."""
    values = sparse.csc_matrix(get_matrix(cells).T, dtype=np.float64)
    values.sort_indices()
    return values
