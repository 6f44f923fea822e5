"""Calibration: expected calibration error, accuracy by coverage."""

import numpy as np
from jaxtyping import Bool, Float

N_BINS = 10
"""Number of bins of equal width, as in Guo et al. 2017."""
COVERAGES = tuple(round(0.1 * step, 1) for step in range(1, 11))
"""Fractions of the cells, by descending confidence."""


def expected_calibration_error(confidence: Float[np.ndarray, "cell"], correct: Bool[np.ndarray, "cell"]) -> float:
    """Return the expected calibration error: abs(accuracy - confidence), weighted mean over bins (Guo et al. 2017, eq. 3).

    ``confidence`` is in [0, 1]; cells where it is NaN are left out. NaN without cells.
    """
    mask = ~np.isnan(confidence)
    values, hits = confidence[mask], correct[mask]
    if not len(values):
        return float("nan")
    bin_index = np.clip(np.ceil(values * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    bin_gaps = np.bincount(bin_index, weights=values - hits, minlength=N_BINS)
    return float(np.abs(bin_gaps).sum() / len(values))


def accuracy_by_coverage(
    confidence: Float[np.ndarray, "cell"], correct: Bool[np.ndarray, "cell"]
) -> dict[float, float]:
    """Return the accuracy of the 10, 20, ... 100 % of the cells with the highest confidence; NaN confidence comes last.

    Cells tied at the boundary count in part, so the result does not depend on the order of cells.
    """
    sort_keys = np.where(np.isnan(confidence), -np.inf, confidence)
    levels, level = np.unique(-sort_keys, return_inverse=True)
    size = np.bincount(level, minlength=len(levels))
    n_correct = np.bincount(level, weights=correct, minlength=len(levels))
    cumulative_cells, cumulative_correct = (
        np.concatenate([[0], np.cumsum(size)]),
        np.concatenate([[0], np.cumsum(n_correct)]),
    )
    if not len(sort_keys):
        return dict.fromkeys(COVERAGES, float("nan"))
    return {
        fraction: float(
            np.interp(fraction * len(sort_keys), cumulative_cells, cumulative_correct) / (fraction * len(sort_keys))
        )
        for fraction in COVERAGES
    }
