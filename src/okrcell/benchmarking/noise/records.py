"""Which run a line of the records is of."""

from typing import Any

from okrcell.benchmarking.noise.plan import Run


def run_of(record: dict[str, Any]) -> Run:
    """Tell which run a line is of."""
    return Run(record["objective"], record["kind"], record["rate"], record["seed"])
