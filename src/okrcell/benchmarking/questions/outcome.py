"""One item of a task, and its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from okrcell.benchmarking.clock import Took


@dataclass(frozen=True)
class Asking:
    """One item of a task: one line of the records before it is scored."""

    case: str
    """Condition that varies within a data set, such as "K = 5" or "dropout 30 %"; "" if none does."""
    seed: int


@dataclass(frozen=True)
class Outcome:
    """Scores of one item."""

    asking: Asking
    scores: Mapping[str, float]
    """Metric to its value; NaN if it is not defined."""
    took: Took
    cells: int
    """Number of scored cells."""
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further values for figures and tables, as JSON types."""
