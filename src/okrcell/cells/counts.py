"""Find the raw counts in X, raw or layers, and read any matrix in blocks of rows."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.inspection import KIND_DESCRIPTIONS, UNUSABLE_KINDS, MatrixInspection, MatrixKind, inspect_values
from okrcell.cells.slot_keys import layer_source, matrix_source
from okrcell.errors import InputError

MAX_IN_MEMORY = 50_000_000
"""Number of stored values up to which a CSC matrix is converted to CSR in memory (about 0.6 GB)."""
CHECK_ROWS, CHECK_VALUES = 2048, 5_000_000
"""Numbers of rows, or of stored values, that are checked at a time."""
READ_ERRORS = (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError, ArithmeticError)
"""What a library may raise for a damaged file."""
COUNT_LAYERS = ("counts", "raw_counts", "raw", "count", "umi", "umis", "umi_counts", "matrix")
PARTIAL_LAYERS = ("spliced", "unspliced", "ambiguous")
"""Layers that count only part of the molecules; used last, or if selected by name."""
WEIGHTS: Mapping[MatrixKind, float] = {"counts": 1.1, "log1p": 1.0, "linear": 1.0, "binary": 1e-3, "empty": 1e-6}
"""Weight of each gene of a matrix that holds these values, if they are exact; used to choose among matrices."""
INEXACT_WEIGHT, PARTIAL_WEIGHT = 0.5, 0.01
"""Weights of values whose scale is assumed, and of layers that count only part of the molecules."""


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
        except READ_ERRORS as error:
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

    def stored_values(self) -> Iterator[NDArray[Any]]:
        """Iterate over the stored values, zeros of sparse matrices left out, in chunks of bounded size.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        matrix: Any = self._matrix
        if isinstance(self._matrix, CSRDataset | CSCDataset):
            data: Any = matrix.group["data"]
        elif sparse.issparse(self._matrix):
            data = matrix.data
        else:
            for block in self.blocks(CHECK_ROWS):
                yield np.asarray(block.data)
            return
        for start in range(0, data.shape[0], CHECK_VALUES):
            try:
                yield np.asarray(data[start : start + CHECK_VALUES])
            except READ_ERRORS as error:
                raise InputError(f"{self.name} cannot be read: the file is damaged ({error}).") from None

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
class ExpressionMatrix:
    """Matrix that expression is read from."""

    rows: MatrixRows
    var: pd.DataFrame
    source: str
    inspection: MatrixInspection
    findings: tuple[str, ...]


@dataclass(frozen=True)
class MatrixCandidate:
    """Matrix of a file with its kind of values and its number of genes, known ones if the matrices differ in them."""

    rows: MatrixRows
    var: pd.DataFrame
    source: str
    inspection: MatrixInspection
    n_genes: int

    @property
    def is_partial(self) -> bool:
        """Whether the values are of only part of the molecules, such as the spliced ones."""
        return self.source in map(layer_source, PARTIAL_LAYERS)

    @property
    def description(self) -> str:
        """Kind of values and number of genes."""
        part = " of part of the molecules" if self.is_partial else ""
        return f"{KIND_DESCRIPTIONS[self.inspection.kind]}{part}, {self.n_genes:,} genes"

    @property
    def score(self) -> tuple[float, int]:
        """Number of known genes, weighted by how much of the counts the values keep; then the number of columns."""
        kind, is_exact = self.inspection.kind, self.inspection.exact
        weight = WEIGHTS[kind] if is_exact or kind not in ("log1p", "linear") else INEXACT_WEIGHT
        if self.is_partial:
            weight = min(weight, PARTIAL_WEIGHT)
        return weight * self.n_genes, self.rows.shape[1]


def find_counts(
    adata: AnnData, layer: str | None = None, count_genes: Callable[[pd.DataFrame], int] = len
) -> ExpressionMatrix:
    """Choose among X, ``raw`` and the layers the matrix that tells most about the counts of most genes.

    Counts, scaled counts and exact log1p of these tell the same, so the one with more known genes is read; counts are
    preferred if the difference is below 10 %, and to inexact values if it is below a factor of two. ``layer`` overrides the
    choice: the name of a layer, or "X" or "raw"; without ``raw``, the latter is a layer of this name. ``count_genes`` counts
    the known genes of a table such as ``var``.

    Raises
    ------
    InputError
        If the file has no cells or genes, if ``layer`` does not exist, or if no matrix holds expression.
    """
    matrices = _list_matrices(adata)
    if layer is not None:
        source = matrix_source(layer, matrices)
        matrices = {source: matrices[source]}
    candidates = _inspect_matrices(matrices, count_genes)
    usable = [candidate for candidate in candidates if candidate.inspection.kind not in UNUSABLE_KINDS]
    if not usable:
        raise InputError(_unusable_message(candidates[0], adata, layer))
    best = max(usable, key=lambda candidate: candidate.score)
    inspection = best.inspection
    if inspection.kind == "log1p" and not inspection.exact and (base := _log_base_from_uns(adata)):
        inspection = replace(inspection, base=base)
    best = replace(best, inspection=inspection)
    return ExpressionMatrix(best.rows, best.var, best.source, inspection, tuple(_matrix_findings(best, candidates)))


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
        (layer_source(name), adata.layers[name], adata.var) for name in (*count_layers, *other_layers, *partial_layers)
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


def _inspect_matrices(
    matrices: Mapping[str, tuple[MatrixRows, pd.DataFrame]], count_genes: Callable[[pd.DataFrame], int]
) -> list[MatrixCandidate]:
    """Inspect matrices until one holds counts and has the largest number of genes."""
    candidates: list[MatrixCandidate] = []
    n_columns = {rows.shape[1] for rows, _ in matrices.values()}
    for source, (rows, var) in matrices.items():
        inspection = inspect_values(rows.sample())
        n_genes = count_genes(var) if len(n_columns) > 1 else rows.shape[1]
        candidates.append(MatrixCandidate(rows, var, source, inspection, n_genes))
        if inspection.kind == "counts" and rows.shape[1] == max(n_columns):
            break
    return candidates


def _log_base_from_uns(adata: AnnData) -> float | None:
    log1p = adata.uns.get("log1p")
    base = log1p.get("base") if isinstance(log1p, Mapping) else None
    return float(base) if isinstance(base, int | float | np.number) and base > 1 else None


def _matrix_findings(best: MatrixCandidate, candidates: Sequence[MatrixCandidate]) -> list[str]:
    """Sentences on which matrix was chosen over which, and on what it holds."""
    kind = best.inspection.kind
    sentences: list[str] = []
    for other in candidates:
        if other.source == "X" != best.source:
            is_same = other.inspection.kind == kind
            contents = "fewer genes" if is_same else KIND_DESCRIPTIONS[other.inspection.kind]
            sentences.append(f"{KIND_DESCRIPTIONS[kind]} were found in {best.source}; X holds {contents}")
        elif other.source != best.source and _is_worth_mention(other, best):
            sentences.append(f"{best.source} ({best.description}) was chosen over {other.source} ({other.description})")
    return sentences + _value_findings(best, has_counts=any(other.inspection.kind == "counts" for other in candidates))


def _is_worth_mention(other: MatrixCandidate, best: MatrixCandidate) -> bool:
    kind = other.inspection.kind
    if kind in ("scaled", "empty", "log1p", "linear"):
        return kind in ("log1p", "linear") and other.n_genes != best.n_genes
    return kind != "counts" or other.n_genes != best.n_genes or best.inspection.kind != "counts"


def _value_findings(best: MatrixCandidate, *, has_counts: bool) -> list[str]:
    source, inspection = best.source, best.inspection
    lack = "" if has_counts else "no counts were found, so "
    match inspection.kind:
        case "log1p":
            base = "natural logarithm" if inspection.base == np.e else f"logarithm of base {inspection.base:g}"
            exactness = "exactly log1p of scaled counts" if inspection.exact else _inexact_log(inspection)
            return [f"{source} holds log values, {exactness} ({base}); {lack}the logarithm was inverted"]
        case "linear" if inspection.reason:
            examples = ", ".join(f"{value:.3g}" for value in inspection.examples)
            return [
                f"{source} holds {inspection.reason} (such as {examples}); they are read as they are, not as log values"
            ]
        case "linear":
            return [f"{source} holds normalised values, not log{'' if has_counts else '; no counts were found'}"]
        case "binary":
            return [
                f"{source} holds only 0 and 1: which genes were detected, not how much; predictions are less certain"
            ]
        case "empty":
            return [f"{source} holds no expressed gene in the sampled rows"]
        case _:
            return []


def _inexact_log(inspection: MatrixInspection) -> str:
    remark = f" ({inspection.reason})" if inspection.reason else ""
    return f"assumed to be log1p of normalised expression{remark}"


def _unusable_message(worst: MatrixCandidate, adata: AnnData, layer: str | None) -> str:
    message = f"{worst.source} must hold counts or log values, but {worst.inspection.reason}."
    if layer is not None:
        others = {source: rows for source, (rows, _) in _list_matrices(adata).items() if source != worst.source}
        kinds = {source: inspect_values(rows.sample()).kind for source, rows in others.items()}
        if alternatives := [source for source, kind in kinds.items() if kind not in (*UNUSABLE_KINDS, "empty")]:
            return f"{message} Use {' or '.join(alternatives)} instead."
    step = "sc.pp.scale" if worst.inspection.kind == "scaled" else "that step"
    return f"{message} raw and layers hold no other expression: use the data from before {step}."


@dataclass(frozen=True)
class ValueCheck:
    """What a pass over all values of a matrix found besides finite values of zero or more."""

    noise: float
    """Largest size of negative values; values up to it are noise of smoothing around zero."""
    findings: tuple[str, ...]


def check_values(matrix: ExpressionMatrix) -> ValueCheck:
    """Look at all values of a matrix, in bounded memory: count NaN, measure noise around zero.

    Raises
    ------
    InputError
        If there are infinite values, or negative values that are too large to be noise.
    """
    n_nan = n_negative = n_infinite = 0
    lowest = 0.0
    for values in matrix.rows.stored_values():
        if not len(values) or (values.min() >= 0 and np.isfinite(values.max())):  # NaN fails both comparisons
            continue
        is_nan = np.isnan(values)
        n_nan += int(is_nan.sum())
        n_infinite += int(np.isinf(values).sum())
        n_negative += int((values < 0).sum())
        lowest = min(lowest, float(np.min(values, where=np.isfinite(values), initial=0.0)))
    source = matrix.source
    if n_infinite:
        raise InputError(f"{source} must be finite, but {n_infinite:,} values are infinite. Replace or leave them out.")
    if -lowest > matrix.inspection.max_noise:
        raise InputError(f"{source} must not be negative, but it holds values such as [{lowest:.3f}].")
    sentences = [_nan_finding(matrix.rows, n_nan)] if n_nan else []
    if n_negative:
        sentences.append(
            f"{source} was smoothed or corrected: {n_negative:,} values are slightly negative (down to {lowest:.2g}); "
            f"values of up to {-lowest:.2g} were read as zero"
        )
    return ValueCheck(-lowest, tuple(sentences))


def _nan_finding(rows: MatrixRows, n_nan: int) -> str:
    """Count the genes and cells with NaN."""
    has_nan, n_cells = np.zeros(rows.shape[1], dtype=bool), 0
    for block in rows.blocks(CHECK_ROWS):
        is_nan = np.isnan(block.data)
        has_nan[block.indices[is_nan]] = True
        n_cells += len(np.unique(np.searchsorted(block.indptr, np.flatnonzero(is_nan), side="right")))
    return (
        f"{rows.name} has {n_nan:,} values that are NaN (not measured), in {has_nan.sum():,} of {rows.shape[1]:,} genes and "
        f"{n_cells:,} of {len(rows):,} cells; they were read as not expressed in these cells"
    )
