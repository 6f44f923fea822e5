"""Measure wall time and peak memory of a block."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from okrcell.benchmarking.memory import peak_memory, reset_peak_memory
from okrcell.benchmarking.resources import cached_seconds


@dataclass
class ResourceUsage:
    """Time and memory of a block; set when the block ends."""

    seconds: float = 0.0
    """Wall time, including the embedding time of cells that came from the cache."""
    peak_memory: int | None = None
    """Peak resident memory of the process in bytes; None if the system does not report it."""


@contextmanager
def measure_resources() -> Generator[ResourceUsage]:
    """Measure the block of a ``with`` statement."""
    usage = ResourceUsage()
    reset_peak_memory()
    start, cached_before = time.perf_counter(), cached_seconds()
    yield usage
    usage.seconds = time.perf_counter() - start + cached_seconds() - cached_before
    usage.peak_memory = peak_memory()
