"""Find the raw counts in X, raw or layers, and read any matrix in blocks of rows."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.abc import CSCDataset
from numpy.typing import NDArray
from scipy import sparse

from okrcell.errors import InputError

MAX_IN_MEMORY = 50_000_000
"""Number of stored values up to which a CSC matrix is converted to CSR in memory (about 0.6 GB)."""
MatrixKind = Literal["counts", "log1p", "linear", "scaled", "empty"]
COUNT_LAYERS = ("counts", "raw_counts", "raw", "count", "umi", "umis", "umi_counts", "matrix")
PARTIAL_LAYERS = ("spliced", "unspliced", "ambiguous")
"""Layers that count only part of the molecules; used last, or if selected by name."""
MAX_LOG = 25.0
"""Upper bound of log expression: a million molecules are 13.8 in natural and 19.9 in binary logarithm."""
MAX_NATURAL_LOG = 14.5
"""Upper bound of natural log expression; larger log values are taken to be binary logarithms."""
KIND_DESCRIPTIONS: Mapping[MatrixKind, str] = {
    "counts": "counts",
    "log1p": "log values",
    "linear": "normalised values, not log",
    "scaled": "z-scores",
    "empty": "only zeros",
}


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


@dataclass(frozen=True)
class MatrixInspection:
    """Kind of values in a matrix, inferred from a sample of rows."""

    kind: MatrixKind
    base: float = float(np.e)
    """Base of the logarithm if ``kind`` is log1p."""
    exact: bool = False
    """Whether the values are exactly log1p of counts scaled per cell."""
    examples: tuple[float, ...] = ()
    """A few example values, for messages."""


@dataclass(frozen=True)
class ExpressionMatrix:
    """Matrix that expression is read from."""

    rows: MatrixRows
    var: pd.DataFrame
    source: str
    inspection: MatrixInspection
    findings: tuple[str, ...]


def find_counts(adata: AnnData, layer: str | None = None) -> ExpressionMatrix:
    """Choose the matrix closest to raw counts among X, ``raw`` and the layers; ties go to the one with more genes.

    ``layer`` overrides the choice: the name of a layer, or "X" or "raw".

    Raises
    ------
    InputError
        If the file has no cells or genes, if ``layer`` does not exist, or if only z-scores are found.
    """
    matrices = _list_matrices(adata)
    if layer is not None:
        source = layer if layer in ("X", "raw") else f"layers['{layer}']"
        if source not in matrices:
            raise InputError(f"There is no {source} in this file. There are: {', '.join(matrices)}.")
        matrices = {source: matrices[source]}
    inspections = _inspect_matrices(matrices)
    rank: dict[MatrixKind, int] = {"counts": 0, "linear": 1, "log1p": 1, "empty": 2, "scaled": 3}
    best_source = min(inspections, key=lambda source: (rank[inspections[source].kind], -matrices[source][0].shape[1]))
    inspection = inspections[best_source]
    if inspection.kind == "scaled":
        raise InputError(_z_scores_message(best_source, inspection, adata, layer))
    if inspection.kind == "log1p" and not inspection.exact and (base := _log_base_from_uns(adata)):
        inspection = replace(inspection, base=base)
    rows, var = matrices[best_source]
    return ExpressionMatrix(
        rows, var, best_source, inspection, tuple(_matrix_findings(best_source, inspection, inspections))
    )


def inspect_matrix(rows: MatrixRows) -> MatrixInspection:
    """Infer from a sample of rows whether a matrix holds counts, log values, normalised values or z-scores."""
    sample = rows.sample()
    finite = np.isfinite(sample.data)
    values = sample.data[finite & (sample.data != 0)].astype(np.float64)
    if not len(values):
        return MatrixInspection("empty")
    if values.min() < 0:
        return MatrixInspection("scaled", examples=tuple(float(value) for value in np.sort(values)[:2]))
    examples = tuple(float(value) for value in values[:2])
    if np.all(np.abs(values - np.round(values)) < 1e-6):
        return MatrixInspection("counts", examples=examples)
    per_cell = _positive_rows(sample)
    for base in (np.e, 2.0, 10.0):
        if values.max() < MAX_LOG and _are_scaled_counts([np.expm1(row * np.log(base)) for row in per_cell]):
            return MatrixInspection("log1p", float(base), exact=True, examples=examples)
    if values.max() > MAX_LOG or _are_scaled_counts(per_cell):
        return MatrixInspection("linear", examples=examples)
    return MatrixInspection("log1p", 2.0 if values.max() > MAX_NATURAL_LOG else float(np.e), examples=examples)


def _list_matrices(adata: AnnData) -> dict[str, tuple[MatrixRows, pd.DataFrame]]:
    """Numeric matrices of the file, in order of preference."""
    if not adata.n_obs:
        raise InputError("The file holds no cells.")
    candidates: list[tuple[str, Any, Any]] = [("X", adata.X, adata.var)]
    raw = cast(Any, adata.raw)
    if raw is not None:
        candidates.append(("raw", raw.X, raw.var))
    count_layers = [name for name in COUNT_LAYERS if name in adata.layers]
    partial_layers = [name for name in PARTIAL_LAYERS if name in adata.layers]
    other_layers = [name for name in adata.layers if name not in (*count_layers, *partial_layers)]
    candidates += [
        (f"layers['{name}']", adata.layers[name], adata.var) for name in (*count_layers, *other_layers, *partial_layers)
    ]
    readable: dict[str, tuple[MatrixRows, pd.DataFrame]] = {}
    errors: list[InputError] = []
    for source, matrix, var in candidates:
        if matrix is None or not matrix.shape[1]:
            continue
        try:
            readable[source] = MatrixRows(matrix, source), var
        except InputError as error:
            errors.append(error)
    if not readable:
        raise errors[0] if errors else InputError("The file holds no expression: X is empty, as are raw and layers.")
    return readable


def _inspect_matrices(matrices: Mapping[str, tuple[MatrixRows, pd.DataFrame]]) -> dict[str, MatrixInspection]:
    """Inspect matrices until one holds counts and has the largest number of genes."""
    inspections: dict[str, MatrixInspection] = {}
    max_genes = max(rows.shape[1] for rows, _ in matrices.values())
    for source, (rows, _) in matrices.items():
        inspections[source] = inspect_matrix(rows)
        if inspections[source].kind == "counts" and rows.shape[1] == max_genes:
            break
    return inspections


def _log_base_from_uns(adata: AnnData) -> float | None:
    log1p = adata.uns.get("log1p")
    base = log1p.get("base") if isinstance(log1p, Mapping) else None
    return float(base) if isinstance(base, int | float | np.number) and base > 1 else None


def _positive_rows(sample: sparse.csr_matrix, min_values: int = 10, max_rows: int = 64) -> list[NDArray[np.float64]]:
    """Positive values of up to ``max_rows`` rows that have at least ``min_values`` of them."""
    rows: list[NDArray[np.float64]] = []
    for start, stop in zip(sample.indptr[:-1], sample.indptr[1:], strict=True):
        row = sample.data[start:stop].astype(np.float64)
        row = row[row > 0]
        if len(row) >= min_values and np.isfinite(row).all():
            rows.append(row)
        if len(rows) == max_rows:
            break
    return rows


def _are_scaled_counts(rows: list[NDArray[np.float64]]) -> bool:
    """Whether the values of most cells are integer multiples of the cell's smallest value."""
    n_tested = n_passed = 0
    for row in rows:
        ratios = row / row.min()
        small_ratios = ratios[ratios < 50]
        if small_ratios.max() < 1.5:
            continue
        n_tested += 1
        n_passed += float(np.mean(np.abs(small_ratios - np.round(small_ratios)) < 0.01)) > 0.95
    return n_tested > 0 and n_passed > 0.8 * n_tested


def _matrix_findings(
    best_source: str, inspection: MatrixInspection, inspections: Mapping[str, MatrixInspection]
) -> list[str]:
    sentences: list[str] = []
    if best_source != "X" and "X" in inspections:
        contents = (
            "fewer genes" if inspections["X"].kind == inspection.kind else KIND_DESCRIPTIONS[inspections["X"].kind]
        )
        sentences.append(f"{KIND_DESCRIPTIONS[inspection.kind]} were found in {best_source}; X holds {contents}")
    if inspection.kind == "log1p":
        base = "natural logarithm" if inspection.base == np.e else f"logarithm of base {inspection.base:g}"
        exactness = (
            "exactly log1p of scaled counts" if inspection.exact else "assumed to be log1p of normalised expression"
        )
        sentences.append(
            f"{best_source} holds log values, {exactness} ({base}); no counts were found, so the logarithm was inverted"
        )
    elif inspection.kind == "linear":
        sentences.append(f"{best_source} holds normalised values, not log; no counts were found")
    elif inspection.kind == "empty":
        sentences.append(f"{best_source} holds no expressed gene in the sampled rows")
    return sentences


def _z_scores_message(best_source: str, inspection: MatrixInspection, adata: AnnData, layer: str | None) -> str:
    examples = ", ".join(f"{value:.3f}" for value in inspection.examples)
    message = (
        f"{best_source} must hold counts or log values, but it has negative values such as [{examples}], like z-scores."
    )
    if layer is not None:
        kinds = {
            source: inspect_matrix(rows).kind
            for source, (rows, _) in _list_matrices(adata).items()
            if source != best_source
        }
        if alternatives := [source for source, kind in kinds.items() if kind not in ("scaled", "empty")]:
            return f"{message} Use {' or '.join(alternatives)} instead."
    return f"{message} raw and layers hold no other expression: use the data from before sc.pp.scale."
