"""Read a matrix in blocks of rows, from memory or disk, in any storage format."""

import tempfile
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from anndata.abc import CSCDataset
from scipy import sparse

from okrcell.errors import InputError

MAX_IN_MEMORY = 50_000_000
"""Number of stored values up to which a CSC matrix is converted to CSR in memory (about 0.6 GB)."""


class MatrixRows:
    """Row access to a (cell, gene) matrix: numpy, scipy sparse, dask, or stored in an HDF5 or zarr file.

    Raises
    ------
    InputError
        If the matrix does not hold real numbers.
    """

    def __init__(self, matrix: Any, name: str) -> None:
        dtype_kind = np.dtype(matrix.dtype).kind
        if dtype_kind not in "iufb":
            raise InputError(f"{name} must hold numbers, but it holds values of type {matrix.dtype}.")
        self._matrix = matrix
        self.name = name
        self.shape: tuple[int, int] = tuple(matrix.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> sparse.csr_matrix:
        """Rows ``start`` to ``stop`` as float32; stored values may include zeros, NaN and infinity.

        Raises
        ------
        InputError
            If the file is damaged in these rows.
        """
        try:
            block = self._by_row[start:stop]
        except (OSError, ValueError, IndexError, KeyError, RuntimeError) as error:
            raise InputError(
                f"{self.name} cannot be read at rows {start} to {stop}: the file is damaged ({error})."
            ) from None
        if hasattr(block, "compute"):
            block = block.compute()
        if not sparse.issparse(block):
            block = np.atleast_2d(np.asarray(block)).astype(np.float32, copy=False)
        rows: Any = sparse.csr_matrix(block)
        self._check_indices(rows, start, stop)
        return rows.astype(np.float32, copy=False)

    def blocks(self, size: int) -> Iterator[sparse.csr_matrix]:
        """Iterate over all rows in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.read(start, min(start + size, len(self)))

    def sample(self, chunks: int = 8, size: int = 64) -> sparse.csr_matrix:
        """Up to ``chunks * size`` rows from evenly spaced positions; deterministic."""
        if len(self) <= chunks * size:
            return self.read(0, len(self))
        starts = np.linspace(0, len(self) - size, chunks).astype(int)
        return sparse.csr_matrix(sparse.vstack([self.read(start, start + size) for start in starts], format="csr"))

    def _check_indices(self, block: Any, start: int, stop: int) -> None:
        """Check that the indices of a damaged or malicious file stay within the matrix."""
        valid = tuple(block.shape) == (stop - start, self.shape[1]) and bool(np.all(np.diff(block.indptr) >= 0))
        if valid and block.nnz:
            valid = int(block.indices.min()) >= 0 and int(block.indices.max()) < self.shape[1]
        if not valid:
            raise InputError(f"{self.name} is damaged: rows {start} to {stop} have indices outside the matrix.")

    @cached_property
    def _by_row(self) -> Any:
        """The matrix in a format with fast row slicing."""
        matrix: Any = self._matrix
        if isinstance(self._matrix, CSCDataset):
            group = matrix.group
            if group["indices"].shape[0] > MAX_IN_MEMORY:
                return csc_to_csr_on_disk(group, self.shape)
            matrix = matrix.to_memory()
        if sparse.issparse(matrix) and matrix.format != "csr":
            matrix.check_format(full_check=True)  # a conversion would write to invalid indices
            return matrix.tocsr()
        return matrix


def csc_to_csr_on_disk(group: Any, shape: tuple[int, int], chunk: int = 10_000_000) -> sparse.csr_matrix:
    """Convert a stored CSC matrix to CSR in temporary files; memory is bounded by ``chunk`` values.

    Raises
    ------
    ValueError
        If an index is outside ``shape``.
    """
    n_rows, n_columns = shape
    ends, indices, data = np.asarray(group["indptr"][:]), group["indices"], group["data"]
    n_stored = int(ends[-1])
    starts = range(0, n_stored, chunk)
    per_row = np.zeros(n_rows + 1, dtype=np.int64)
    for start in starts:
        per_row[1:] += np.bincount(indices[start : start + chunk], minlength=n_rows)  # raises for an index out of range
    indptr = np.cumsum(per_row)
    column, value = _scratch_array(n_stored, np.int32), _scratch_array(n_stored, np.float32)
    next_free = indptr[:-1].copy()
    for start in starts:
        rows = np.asarray(indices[start : start + chunk])
        order = np.argsort(rows, kind="stable")
        unique_rows, first_index, counts = np.unique(rows[order], return_index=True, return_counts=True)
        position = np.repeat(next_free[unique_rows] - first_index, counts) + np.arange(len(rows))
        column[position] = (np.searchsorted(ends, np.arange(start, start + len(rows)), side="right") - 1)[order]
        value[position] = np.asarray(data[start : start + chunk], dtype=np.float32)[order]
        next_free[unique_rows] += counts
    csr = sparse.csr_matrix((n_rows, n_columns), dtype=np.float32)
    csr.data, csr.indices, csr.indptr = value[:n_stored], column[:n_stored], indptr
    return csr


def _scratch_array(length: int, dtype: type[np.generic]) -> Any:
    with tempfile.TemporaryFile() as file:  # the memory map keeps the unlinked file alive
        return np.memmap(file, dtype=dtype, mode="w+", shape=(max(length, 1),))
