"""Estimate the remaining time of a benchmark."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

DEFAULT_SECONDS = 10.0
"""Seconds assumed per score before any was measured."""


class ETA:
    """Estimate remaining minutes from the mean seconds of finished scores, scoring included."""

    def __init__(self) -> None:
        self._seconds_by_key: Mapping[tuple[str, ...], list[float]] = defaultdict(list)

    def add(self, line: Mapping[str, Any], seconds: float) -> None:
        """Add the seconds of a finished line of the records."""
        for key in _keys(line):
            self._seconds_by_key[key].append(seconds)

    def remaining_minutes(self, pending: Iterable[Mapping[str, Any]], n_workers: int) -> float:
        """Estimated minutes for unfinished lines with this number of workers."""
        return sum(self._estimate(line) for line in pending) / n_workers / 60

    def _estimate(self, line: Mapping[str, Any]) -> float:
        for key in _keys(line):
            if seconds := self._seconds_by_key[key]:
                return sum(seconds) / len(seconds)
        return DEFAULT_SECONDS


def _keys(line: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Keys of a line from specific to general: task, set and method; task and method; task; all."""
    return [(line["task"], line["set"], line["method"]), (line["task"], line["method"]), (line["task"],), ()]
