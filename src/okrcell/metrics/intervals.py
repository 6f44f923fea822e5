"""Mean, standard deviation and t-interval over seeds or data sets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

CONFIDENCE_LEVEL = 0.95
"""Coverage of the intervals, if values are normally distributed over seeds or data sets."""


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds or data sets, with standard deviation and interval."""

    mean: float
    sd: float | None
    """Standard deviation of one value (divisor n - 1); None with fewer than two values."""
    low: float | None
    high: float | None
    """Ends of Student's t-interval of the mean; None with fewer than two values."""
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """Return mean, standard deviation and t-interval of the finite values; None if there is none."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return None
    mean, n = float(np.mean(finite)), len(finite)
    if n < 2:
        return Estimate(mean, None, None, None, n)
    sd = float(np.std(finite, ddof=1))
    half_width = float(stdtrit(n - 1, (1 + CONFIDENCE_LEVEL) / 2)) * sd / math.sqrt(n)
    return Estimate(mean, sd, mean - half_width, mean + half_width, n)
