"""How many cells of a group have a gene, and how many others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression


@dataclass(frozen=True)
class Presence:
    """Shares of cells in which a gene was found at all."""

    inside: Float[np.ndarray, "group gene"]
    """Of the group's cells with expression, in [0, 1]; NaN for a group without any."""
    outside: Float[np.ndarray, "group gene"]
    """Of all other cells with expression, in a group or in none, in [0, 1]; NaN where there are no others."""


def presence(
    expression: Expression, group: NDArray[np.intp], groups: int, rows: Sequence[int] | NDArray[np.integer]
) -> Presence:
    """Count in which cells some genes were found, in one pass over the file.

    Parameters
    ----------
    group
        Number of each cell's group, -1 for none.
    rows
        Rows of the gene table.
    """
    genes = np.asarray(rows, dtype=np.intp)
    having = np.zeros((groups + 1, len(genes)))
    cells = np.zeros(groups + 1)
    start = 0
    for block in expression.blocks():
        measured: NDArray[np.bool_] = block.getnnz(axis=1) > 0
        number = len(measured)
        # The last row holds the cells of no group.
        mine = np.where(group[start : start + number] < 0, groups, group[start : start + number])
        start += number
        cells += np.bincount(mine[measured], minlength=groups + 1)
        member = sparse.csr_matrix((np.ones(number), (mine, np.arange(number))), shape=(groups + 1, number))
        having += np.asarray((member @ (block[:, genes] > 0).astype(np.float64)).todense())
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = having[:groups] / cells[:groups, None]
        outside = (having.sum(axis=0) - having[:groups]) / (cells.sum() - cells[:groups])[:, None]
    return Presence(inside, outside)
