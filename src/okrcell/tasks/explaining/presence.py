"""Detection rates of genes inside and outside groups of cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression


@dataclass(frozen=True)
class Presence:
    """Fractions of cells in which a gene was detected."""

    inside: Float[np.ndarray, "group gene"]
    """Fraction of the group's cells with expression, in [0, 1]; NaN for a group without such cells."""
    outside: Float[np.ndarray, "group gene"]
    """Fraction of all other cells with expression, in any group or none, in [0, 1]; NaN if there are none."""


def presence(
    expression: Expression, group: NDArray[np.intp], groups: int, rows: Sequence[int] | NDArray[np.integer]
) -> Presence:
    """Compute the detection rates of genes, in one pass over the file.

    Parameters
    ----------
    expression
        Expression of all cells.
    group
        Group index of each cell, -1 for none.
    groups
        Number of groups.
    rows
        Rows of the genes in the gene table.
    """
    genes = np.asarray(rows, dtype=np.intp)
    having = np.zeros((groups + 1, len(genes)))
    cells = np.zeros(groups + 1)
    start = 0
    for block in expression.blocks():
        measured: NDArray[np.bool_] = block.getnnz(axis=1) > 0
        number = len(measured)
        # The last row counts the cells without group.
        mine = np.where(group[start : start + number] < 0, groups, group[start : start + number])
        start += number
        cells += np.bincount(mine[measured], minlength=groups + 1)
        member = sparse.csr_matrix((np.ones(number), (mine, np.arange(number))), shape=(groups + 1, number))
        having += np.asarray((member @ (block[:, genes] > 0).astype(np.float64)).todense())
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = having[:groups] / cells[:groups, None]
        outside = (having.sum(axis=0) - having[:groups]) / (cells.sum() - cells[:groups])[:, None]
    return Presence(inside, outside)
