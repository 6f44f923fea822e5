"""Colours and markers of methods in the figures."""

from collections.abc import Sequence
from typing import Any

from okrcell.benchmarking.canvas import COLOURS, MARKS
from okrcell.benchmarking.report.summary import Summary

OURS, CONTROL, BASELINE = "#4F46B8", "#8F89D6", "#6B7079"


def styles_of(summary: Summary, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line style of each method: ours indigo with circles, each other method with a colour and marker of its own."""
    given: dict[str, dict[str, Any]] = {}
    others = 0
    for method in methods:
        if summary.kinds.get(method) == "ours":
            given[method] = {"color": OURS, "marker": "o", "markersize": 8, "linewidth": 2.4, "zorder": 5}
        else:
            given[method] = {
                "color": COLOURS[1:][others % (len(COLOURS) - 1)],
                "marker": MARKS[1:][others % (len(MARKS) - 1)],
                "markersize": 6,
                "linewidth": 1.5,
                "linestyle": "--" if summary.kinds.get(method) == "control" else "-",
            }
            others += 1
    return given


def colour_of(summary: Summary, method: str) -> str:
    """Return the colour of a method's kind."""
    return {"ours": OURS, "control": CONTROL}.get(summary.kinds.get(method, ""), BASELINE)
