"""What a benchmark gives back."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark gave."""

    folder: Path
    report: Path
    records: Path
    """One JSON line a run; all else is made from it."""
    runs: int
    """Runs in ``records``."""
    made: int
    """Runs made this time."""
