"""Result of a benchmark run."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BenchmarkResult:
    """Paths and counts of a benchmark run."""

    folder: Path
    report: Path
    records: Path
    """JSON lines file, one line per run; report and figures are made from it."""
    runs: int
    """Number of runs in ``records``."""
    made: int
    """Number of runs computed by this call."""
