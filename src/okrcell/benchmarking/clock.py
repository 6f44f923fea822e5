"""How long an answer takes, and how much memory."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from okrcell.benchmarking.memory import forget_peak, peak_memory
from okrcell.benchmarking.remembering import charged


@dataclass
class Took:
    """Filled when the block that is measured ends."""

    seconds: float = 0.0
    """With the time of embedding cells that were remembered from before."""
    peak_memory: int | None = None
    """Bytes held by the process at most, libraries and cells included; None where the system does not tell."""


@contextmanager
def measured() -> Generator[Took]:
    """Measure what happens in the block."""
    took = Took()
    forget_peak()
    start, before = time.perf_counter(), charged()
    yield took
    took.seconds = time.perf_counter() - start + charged() - before
    took.peak_memory = peak_memory()
