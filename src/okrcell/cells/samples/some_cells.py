"""Some cells of a file, read on the way through all of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression


def some_cells(expression: Expression, rows: NDArray[np.intp]) -> Iterator[sparse.csr_matrix]:
    """Go through the cells of ``rows``, ascending, a block of the file at a time: linear, (cell, gene).

    A block without any of them comes without a row, so that stacking the blocks always gives the width of the gene table.
    """
    start = 0
    for block in expression.blocks():
        stop = start + len(block.indptr) - 1
        yield sparse.csr_matrix(block[rows[(rows >= start) & (rows < stop)] - start])
        start = stop
