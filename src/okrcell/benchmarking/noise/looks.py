"""Colours and markers of objectives in the figures."""

from collections.abc import Sequence
from typing import Any

from okrcell.benchmarking.canvas import COLORS, MARKERS, MUTED_COLOR
from okrcell.benchmarking.noise.plan import CONTROL


def objective_styles(objectives: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line style of each objective: a colour and a marker; the control is grey and dashed."""
    others = [name for name in objectives if name != CONTROL]
    styles: dict[str, dict[str, Any]] = {CONTROL: {"color": MUTED_COLOR, "marker": "o", "linestyle": "--"}}
    for i, name in enumerate(others):
        styles[name] = {
            "color": COLORS[i % len(COLORS)],
            "marker": MARKERS[(i + 1) % len(MARKERS)],
            # With more objectives than colours, repeated colours are dotted.
            "linestyle": "-" if i < len(COLORS) else ":",
        }
    return styles
