"""Infer from sampled values whether a matrix holds counts, log values or normalised values, or none of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

MatrixKind = Literal["counts", "log1p", "linear", "binary", "empty", "scaled", "binned", "corrected", "mixed"]
KIND_DESCRIPTIONS: Mapping[MatrixKind, str] = {
    "counts": "counts",
    "log1p": "log values",
    "linear": "normalised values, not log",
    "binary": "only 0 and 1",
    "empty": "only zeros",
    "scaled": "z-scores",
    "binned": "bins or ranks",
    "corrected": "corrected values",
    "mixed": "counts in some cells and other values in the others",
}
UNUSABLE_KINDS: tuple[MatrixKind, ...] = ("scaled", "binned", "corrected", "mixed")
"""Kinds of values that expression cannot be computed from."""
MAX_LOG = 25.0
"""Upper bound of log expression: a million molecules are 13.8 in natural and 19.9 in binary logarithm."""
MAX_NATURAL_LOG = 14.5
"""Upper bound of natural log expression; larger log values are taken to be binary logarithms."""
LOG_BASES = (float(np.e), 2.0, 10.0)
MAX_NOISE = 0.01
"""Largest size of negative values, as a fraction of the maximum, that are taken for the noise of smoothing."""
MIN_SAMPLE_CELLS = 20
"""Number of sampled cells from which statistics per gene are used."""


@dataclass(frozen=True)
class MatrixInspection:
    """Kind of values in a matrix, inferred from a sample of rows."""

    kind: MatrixKind
    base: float = float(np.e)
    """Base of the logarithm if ``kind`` is log1p."""
    exact: bool = False
    """Whether the values are counts, counts scaled per cell, or exactly log1p of these."""
    examples: tuple[float, ...] = ()
    """A few example values, for messages."""
    reason: str = ""
    """Why the values cannot be used, or what is particular about them."""
    max_noise: float = 0.0
    """Largest size of negative values that are taken for noise around zero."""


def inspect_values(sample: sparse.csr_matrix) -> MatrixInspection:
    """Infer the kind of values of a matrix from a sample of its rows; NaN and infinite values are ignored."""
    sample = _drop_values(sample, ~np.isfinite(sample.data))  # only positive or negative values remain
    values = sample.data.astype(np.float64)
    if not len(values):
        return MatrixInspection("empty")
    examples = tuple(float(value) for value in values[:2])
    max_noise = 0.0 if _are_integers(values).all() else MAX_NOISE * float(values.max())
    if values.min() < 0:
        if not _is_noise(values, max_noise):
            return _inspect_negative_values(values)
        sample = _drop_values(sample, sample.data <= -values.min())
        values = sample.data.astype(np.float64)
    if _are_integers(values).all():
        return _inspect_integers(values, sample, examples)
    kind, base, exact, reason = _inspect_fractions(values, sample)
    if not exact and (scaling := _gene_scaling(sample)):
        return MatrixInspection("scaled", examples=examples, reason=scaling)
    return MatrixInspection(kind, base, exact, examples, reason, max_noise)


def _drop_values(sample: sparse.csr_matrix, is_dropped: NDArray[np.bool_]) -> sparse.csr_matrix:
    remaining = sample.copy()
    remaining.data[is_dropped] = 0
    remaining.eliminate_zeros()
    return remaining


def _are_integers(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(values - np.round(values)) < 1e-6


def _is_noise(values: NDArray[np.float64], max_noise: float) -> bool:
    """Whether negative values are small and weigh little beside the positive ones, as smoothing leaves them."""
    return -values.min() <= max_noise and -values[values < 0].sum() <= 0.02 * values[values > 0].sum()


def _inspect_negative_values(values: NDArray[np.float64]) -> MatrixInspection:
    """Tell z-scores, whose sum is near zero, from values after batch correction or imputation."""
    examples = tuple(float(value) for value in np.sort(values)[:2])
    is_centered = -values[values < 0].sum() > 0.25 * values[values > 0].sum()
    seen = f"it has negative values such as [{', '.join(f'{value:.3f}' for value in examples)}]"
    if is_centered:
        return MatrixInspection("scaled", examples=examples, reason=f"{seen}, like z-scores")
    reason = f"{seen}, as batch correction, regression or imputation leave them"
    return MatrixInspection("corrected", examples=examples, reason=reason)


def _inspect_integers(
    values: NDArray[np.float64], sample: sparse.csr_matrix, examples: tuple[float, ...]
) -> MatrixInspection:
    if values.max() == 1:
        return MatrixInspection("binary", examples=examples)
    rows = _positive_rows(sample)
    maxima = np.array([row.max() for row in rows])
    if len(rows) >= 5 and _are_bins(rows, maxima):
        reason = f"its whole numbers are bins: the highest of nearly every cell is {np.median(maxima):g}"
        return MatrixInspection("binned", examples=examples, reason=reason)
    n_ranked = sum(len(row) >= MIN_SAMPLE_CELLS and len(np.unique(row)) == len(row) == row.max() for row in rows)
    if n_ranked > 0.9 * len(rows) > 0:
        return MatrixInspection(
            "binned", examples=examples, reason="its whole numbers are the ranks of genes in a cell"
        )
    return MatrixInspection("counts", exact=True, examples=examples)


def _are_bins(rows: list[NDArray[np.float64]], maxima: NDArray[np.float64]) -> bool:
    """Whether nearly all cells have the same maximum and values are not concentrated near 1, as counts are."""
    share = np.mean(maxima == np.median(maxima))
    level = np.median([row.mean() for row in rows] / maxima)
    return bool(share >= 0.9 and np.median(maxima) >= 5 and level > 0.25)


def _gene_scaling(sample: sparse.csr_matrix) -> str:
    """Describe the scaling of each gene to variance 1 or to the range 0 to 1; empty if there is none."""
    n_cells = len(sample.indptr) - 1
    columns = sparse.csc_matrix(sample)
    detected = np.diff(columns.indptr)
    if n_cells < MIN_SAMPLE_CELLS:
        return ""
    maximum = np.asarray(columns.max(axis=0).todense()).ravel()
    if maximum.max() == 1 and np.mean(maximum[detected >= 3] == 1) > 0.05:
        return "every gene is scaled to the range 0 to 1"
    is_tested = detected >= 10
    tolerance = 0.1 + 0.7 / np.sqrt(detected[is_tested])  # the sample differs from all cells
    is_unit = np.abs(np.log(_standard_deviation(columns)[is_tested])) < tolerance
    if len(is_unit) >= MIN_SAMPLE_CELLS and is_unit.mean() > 0.85:
        return "every gene has a variance of about 1, as after sc.pp.scale(zero_center=False)"
    return ""


def _standard_deviation(columns: sparse.csc_matrix) -> NDArray[np.float64]:
    values = columns.astype(np.float64)
    mean = np.asarray(values.mean(axis=0)).ravel()
    return np.sqrt(np.maximum(np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2, 1e-12))


def _inspect_fractions(values: NDArray[np.float64], sample: sparse.csr_matrix) -> tuple[MatrixKind, float, bool, str]:
    """Tell log values from normalised or fractional counts; return kind, base, exactness and a remark."""
    rows = _positive_rows(sample)
    if _are_mixed(rows):
        return "mixed", LOG_BASES[0], False, "it holds counts in some cells and fractions in the others"
    is_log_range = values.max() < MAX_LOG
    for base in LOG_BASES if is_log_range else ():
        if _are_scaled_counts([np.expm1(row * np.log(base)) for row in rows]):
            return "log1p", base, True, ""
    if _are_scaled_counts(rows):
        return "linear", LOG_BASES[0], True, ""
    for base in LOG_BASES if is_log_range else ():
        if _have_equal_sums([np.expm1(row * np.log(base)) for row in rows]):
            return "log1p", base, False, "the cells have equal sums without the logarithm"
    if not is_log_range or _have_equal_sums(rows):
        return "linear", LOG_BASES[0], False, ""
    if _are_fractional_counts(sample):
        return "linear", LOG_BASES[0], False, "fractional counts"
    return "log1p", 2.0 if values.max() > MAX_NATURAL_LOG else LOG_BASES[0], False, ""


def _positive_rows(sample: sparse.csr_matrix, min_values: int = 10, max_rows: int = 64) -> list[NDArray[np.float64]]:
    """Positive values of up to ``max_rows`` rows, evenly spaced, that have at least ``min_values`` of them."""
    rows = [row.astype(np.float64) for row in np.split(sample.data, sample.indptr[1:-1])]
    rows = [row for row in rows if len(row) >= min_values]
    if len(rows) > max_rows:
        return [rows[index] for index in np.linspace(0, len(rows) - 1, max_rows).astype(int)]
    return rows


def _are_mixed(rows: list[NDArray[np.float64]]) -> bool:
    """Whether the values of some cells are all whole numbers and those of the others hardly ever."""
    whole = np.array([_are_integers(row).mean() for row in rows])
    fractional = whole[whole < 1]
    return len(rows) >= 5 and 0.05 < np.mean(whole == 1) < 0.95 and bool(fractional.mean() < 0.1)


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


def _have_equal_sums(rows: list[NDArray[np.float64]]) -> bool:
    """Whether the values of nearly every cell have the same sum."""
    sums = np.array([row.sum() for row in rows])
    return len(sums) >= 5 and float(np.mean(np.abs(sums / np.median(sums) - 1) < 0.01)) > 0.9


def _are_fractional_counts(sample: sparse.csr_matrix) -> bool:
    """Whether values are often whole numbers, or skewed and either too large for logs or not lower in cells with more genes.

    Natural log values are lower in cells with more genes, because the cells were scaled to the same total; binary log values
    are hardly skewed.
    """
    from scipy.stats import skew, spearmanr

    rows = _positive_rows(sample, max_rows=len(sample.indptr))
    if not rows:
        return False
    if np.mean([_are_integers(row).mean() for row in rows]) > 0.3:
        return True
    expressed = [row[row >= 0.5] for row in rows if np.sum(row >= 0.5) >= 10]
    if sample.data.max() > MAX_NATURAL_LOG and expressed and np.median([skew(row) for row in expressed]) > 1.5:
        return True
    n_genes, level = [len(row) for row in rows], [np.quantile(row, 0.25) for row in rows]
    if len(rows) < MIN_SAMPLE_CELLS or len(set(n_genes)) == 1 or len(set(level)) == 1:
        return False
    is_skewed = np.median([skew(row) for row in rows]) > 1
    return bool(is_skewed and cast(Any, spearmanr(n_genes, level)).statistic > 0.15)
