"""Find the raw counts in X, raw or layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.rows import MatrixRows
from okrcell.errors import InputError

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
