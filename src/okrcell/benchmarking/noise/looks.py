"""Colours and markers of objectives in the figures."""

from collections.abc import Sequence
from typing import Any

from okrcell.benchmarking.canvas import COLOURS, FAINT, MARKS
from okrcell.benchmarking.noise.plan import CONTROL


def looks(objectives: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line style of each objective: a colour and a marker; the control is grey and dashed."""
    others = [name for name in objectives if name != CONTROL]
    given: dict[str, dict[str, Any]] = {CONTROL: {"color": FAINT, "marker": "o", "linestyle": "--"}}
    for place, name in enumerate(others):
        given[name] = {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKS[(place + 1) % len(MARKS)],
            # With more objectives than colours, repeated colours are dotted.
            "linestyle": "-" if place < len(COLOURS) else ":",
        }
    return given
