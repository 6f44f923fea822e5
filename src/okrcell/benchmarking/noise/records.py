"""The run of a record."""

from typing import Any

from okrcell.benchmarking.noise.plan import Run


def run_of(record: dict[str, Any]) -> Run:
    """Return the run that a record belongs to."""
    return Run(record["objective"], record["kind"], record["rate"], record["seed"])
