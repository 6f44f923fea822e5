"""What came of asking a method one question once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from okrcell.benchmarking.clock import Took


@dataclass(frozen=True)
class Asking:
    """One line of the records, before it is answered."""

    case: str
    """What is varied within a set, such as "K = 5" or "dropout 30 %"; "" if nothing is."""
    seed: int


@dataclass(frozen=True)
class Outcome:
    """An answer's scores."""

    asking: Asking
    scores: Mapping[str, float]
    """Name of the measure to its value; one that cannot be had is NaN."""
    took: Took
    cells: int
    """Cells that were scored."""
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What is worth drawing beside the scores."""
