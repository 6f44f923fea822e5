"""Measure wall time and peak memory of a block."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from okrcell.benchmarking.memory import forget_peak, peak_memory
from okrcell.benchmarking.remembering import charged


@dataclass
class Took:
    """Time and memory of a block; set when the block ends."""

    seconds: float = 0.0
    """Wall time, including the embedding time of cells that came from the cache."""
    peak_memory: int | None = None
    """Peak resident memory of the process in bytes; None if the system does not report it."""


@contextmanager
def measured() -> Generator[Took]:
    """Measure the block of a ``with`` statement."""
    took = Took()
    forget_peak()
    start, before = time.perf_counter(), charged()
    yield took
    took.seconds = time.perf_counter() - start + charged() - before
    took.peak_memory = peak_memory()
