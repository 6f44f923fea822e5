"""How objectives look in pictures: the control always the same, and told apart without colour."""

from collections.abc import Sequence
from typing import Any

from okrcell.benchmarking.canvas import COLOURS, FAINT, MARKS
from okrcell.benchmarking.noise.plan import CONTROL


def looks(objectives: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Give each objective a colour and a mark, the control always the same ones."""
    others = [name for name in objectives if name != CONTROL]
    given: dict[str, dict[str, Any]] = {CONTROL: {"color": FAINT, "marker": "o", "linestyle": "--"}}
    for place, name in enumerate(others):
        given[name] = {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKS[(place + 1) % len(MARKS)],
            # With more objectives than colours the second round is dotted.
            "linestyle": "-" if place < len(COLOURS) else ":",
        }
    return given
