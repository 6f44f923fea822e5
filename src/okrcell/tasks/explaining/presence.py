"""Detection rates of genes inside and outside groups of cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression


@dataclass(frozen=True)
class DetectionRate:
    """Fractions of cells in which a gene was detected."""

    inside: Float[np.ndarray, "group gene"]
    """Fraction of the group's cells with expression, in [0, 1]; NaN for a group without such cells."""
    outside: Float[np.ndarray, "group gene"]
    """Fraction of all other cells with expression, in any group or none, in [0, 1]; NaN if there are none."""


def detection_rates(
    expression: Expression, group: NDArray[np.intp], n_groups: int, rows: Sequence[int] | NDArray[np.integer]
) -> DetectionRate:
    """Compute the detection rates of genes, in one pass over the file.

    Parameters
    ----------
    expression
        Expression of all cells.
    group
        Group index of each cell, -1 for none.
    n_groups
        Number of groups.
    rows
        Rows of the genes in the gene table.
    """
    genes = np.asarray(rows, dtype=np.intp)
    n_detected = np.zeros((n_groups + 1, len(genes)))
    n_cells = np.zeros(n_groups + 1)
    start = 0
    for block in expression.blocks():
        measured: NDArray[np.bool_] = block.getnnz(axis=1) > 0
        n_rows = len(measured)
        # The last row counts the cells without group.
        block_group = np.where(group[start : start + n_rows] < 0, n_groups, group[start : start + n_rows])
        start += n_rows
        n_cells += np.bincount(block_group[measured], minlength=n_groups + 1)
        membership = sparse.csr_matrix(
            (np.ones(n_rows), (block_group, np.arange(n_rows))), shape=(n_groups + 1, n_rows)
        )
        n_detected += np.asarray((membership @ (block[:, genes] > 0).astype(np.float64)).todense())
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = n_detected[:n_groups] / n_cells[:n_groups, None]
        outside = (n_detected.sum(axis=0) - n_detected[:n_groups]) / (n_cells.sum() - n_cells[:n_groups])[:, None]
    return DetectionRate(inside, outside)
