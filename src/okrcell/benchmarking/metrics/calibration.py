"""Calibration: expected calibration error, accuracy by coverage."""

import numpy as np
from jaxtyping import Bool, Float

BINS = 10
"""Number of bins of equal width, as in Guo et al. 2017."""
COVERAGES = tuple(round(0.1 * step, 1) for step in range(1, 11))
"""Fractions of the cells, by descending confidence."""


def expected_calibration_error(confidence: Float[np.ndarray, "cell"], right: Bool[np.ndarray, "cell"]) -> float:
    """Return the expected calibration error: abs(accuracy - confidence), weighted mean over bins (Guo et al. 2017, eq. 3).

    ``confidence`` is in [0, 1]; cells where it is NaN are left out. NaN without cells.
    """
    known = ~np.isnan(confidence)
    sure, true = confidence[known], right[known]
    if not len(sure):
        return float("nan")
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    gap = np.bincount(place, weights=sure - true, minlength=BINS)
    return float(np.abs(gap).sum() / len(sure))


def accuracy_by_coverage(confidence: Float[np.ndarray, "cell"], right: Bool[np.ndarray, "cell"]) -> dict[float, float]:
    """Return the accuracy of the 10, 20, ... 100 % of the cells with the highest confidence; NaN confidence comes last.

    Cells tied at the boundary count in part, so the result does not depend on the order of cells.
    """
    sure = np.where(np.isnan(confidence), -np.inf, confidence)
    levels, level = np.unique(-sure, return_inverse=True)
    size = np.bincount(level, minlength=len(levels))
    hits = np.bincount(level, weights=right, minlength=len(levels))
    cells, good = np.concatenate([[0], np.cumsum(size)]), np.concatenate([[0], np.cumsum(hits)])
    if not len(sure):
        return dict.fromkeys(COVERAGES, float("nan"))
    return {share: float(np.interp(share * len(sure), cells, good) / (share * len(sure))) for share in COVERAGES}
