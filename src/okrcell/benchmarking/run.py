"""What can be measured, and the verb that measures it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from okrcell.benchmarking.noise.run import Benchmark, noise_benchmark
from okrcell.errors import InputError

TASKS = {"noise": noise_benchmark}
"""What can be measured."""


def benchmark(
    config: str | Path, output: str | Path, *, tasks: Sequence[str] = ("noise",), **choices: Any
) -> Benchmark:
    """Measure what ``tasks`` name; ``choices`` are those of the task, see `noise_benchmark`.

    Raises
    ------
    InputError
        If there is no such task.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or len(tasks) != 1:
        seen = f"seen: {', '.join(tasks) or 'none'}"
        raise InputError(f"A benchmark measures one of these tasks: {', '.join(TASKS)}; {seen}.")
    return TASKS[tasks[0]](config, output, **choices)
