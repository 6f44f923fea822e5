"""How long the rest will take."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

USUAL_SECONDS = 10.0
"""For the first guess, before anything is known."""


class Pace:
    """Learns from what is done how long each kind of question takes a method, scoring included."""

    def __init__(self) -> None:
        self._by_kind: Mapping[tuple[str, ...], list[float]] = defaultdict(list)

    def took(self, line: Mapping[str, Any], seconds: float) -> None:
        """Note what a line of the records took."""
        for kind in _kinds(line):
            self._by_kind[kind].append(seconds)

    def minutes(self, left: Iterable[Mapping[str, Any]], workers: int) -> float:
        """Guess how many minutes lines that are not made yet will take."""
        return sum(self._guess(line) for line in left) / workers / 60

    def _guess(self, line: Mapping[str, Any]) -> float:
        for kind in _kinds(line):
            if seen := self._by_kind[kind]:
                return sum(seen) / len(seen)
        return USUAL_SECONDS


def _kinds(line: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """From the most alike to all: this very kind, the same task of other methods, anything."""
    return [(line["task"], line["set"], line["method"]), (line["task"], line["method"]), (line["task"],), ()]
