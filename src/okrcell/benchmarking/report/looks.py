"""Colours and markers of methods in the figures."""

from collections.abc import Sequence
from typing import Any

from okrcell.benchmarking.canvas import COLORS, MARKERS
from okrcell.benchmarking.report.summary import BenchmarkSummary

OURS_COLOR, CONTROL_COLOR, BASELINE_COLOR = "#4F46B8", "#8F89D6", "#6B7079"


def method_styles(summary: BenchmarkSummary, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line style of each method: ours indigo with circles, each other method with a colour and marker of its own."""
    styles: dict[str, dict[str, Any]] = {}
    n_others = 0
    for method in methods:
        if summary.kinds.get(method) == "ours":
            styles[method] = {"color": OURS_COLOR, "marker": "o", "markersize": 8, "linewidth": 2.4, "zorder": 5}
        else:
            styles[method] = {
                "color": COLORS[1:][n_others % (len(COLORS) - 1)],
                "marker": MARKERS[1:][n_others % (len(MARKERS) - 1)],
                "markersize": 6,
                "linewidth": 1.5,
                "linestyle": "--" if summary.kinds.get(method) == "control" else "-",
            }
            n_others += 1
    return styles


def method_color(summary: BenchmarkSummary, method: str) -> str:
    """Return the colour of a method's kind."""
    return {"ours": OURS_COLOR, "control": CONTROL_COLOR}.get(summary.kinds.get(method, ""), BASELINE_COLOR)
