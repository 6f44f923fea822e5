"""Read selected cells of a file in blocks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression


def iter_rows(expression: Expression, rows: NDArray[np.intp]) -> Iterator[sparse.csr_matrix]:
    """Iterate over the cells ``rows`` (ascending), one block of the file at a time; linear (cell, gene of the table).

    A block of the file without selected cells gives a block with zero rows, so that stacking the blocks always has the
    width of the gene table.
    """
    start = 0
    for block in expression.blocks():
        stop = start + len(block.indptr) - 1
        yield sparse.csr_matrix(block[rows[(rows >= start) & (rows < stop)] - start])
        start = stop
