"""The run of a record."""

from typing import Any

from okrcell.benchmarking.noise.plan import NoiseRun


def run_of(record: dict[str, Any]) -> NoiseRun:
    """Return the run that a record belongs to."""
    return NoiseRun(record["objective"], record["kind"], record["rate"], record["seed"])
