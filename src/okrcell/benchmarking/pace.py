"""Estimate the remaining time of a benchmark."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

USUAL_SECONDS = 10.0
"""Seconds assumed per score before any was measured."""


class Pace:
    """Estimate remaining minutes from the mean seconds of finished scores, scoring included."""

    def __init__(self) -> None:
        self._by_kind: Mapping[tuple[str, ...], list[float]] = defaultdict(list)

    def took(self, line: Mapping[str, Any], seconds: float) -> None:
        """Add the seconds of a finished line of the records."""
        for kind in _kinds(line):
            self._by_kind[kind].append(seconds)

    def minutes(self, left: Iterable[Mapping[str, Any]], workers: int) -> float:
        """Estimated minutes for unfinished lines with this number of workers."""
        return sum(self._guess(line) for line in left) / workers / 60

    def _guess(self, line: Mapping[str, Any]) -> float:
        for kind in _kinds(line):
            if seen := self._by_kind[kind]:
                return sum(seen) / len(seen)
        return USUAL_SECONDS


def _kinds(line: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Keys of a line from specific to general: task, set and method; task and method; task; all."""
    return [(line["task"], line["set"], line["method"]), (line["task"], line["method"]), (line["task"],), ()]
