"""One item of a task, and its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from okrcell.benchmarking.clock import ResourceUsage


@dataclass(frozen=True)
class Item:
    """One item of a task: one line of the records before it is scored."""

    case: str
    """Condition that varies within a data set, such as "K = 5" or "dropout 30 %"; "" if none does."""
    seed: int


@dataclass(frozen=True)
class ItemResult:
    """Scores of one item."""

    item: Item
    scores: Mapping[str, float]
    """Metric to its value; NaN if it is not defined."""
    usage: ResourceUsage
    cells: int
    """Number of scored cells."""
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further values for figures and tables, as JSON types."""
