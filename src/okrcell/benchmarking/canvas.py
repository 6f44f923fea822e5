"""Colours, axes and legends of the benchmark's figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#22252B", "#6B7079", "#E4E6EA"
COLOURS = ("#4F46B8", "#D55E00", "#009E73", "#CC79A7", "#0072B2", "#B8860B", "#56B4E9", "#882255")
"""Palette after Okabe and Ito, safe for red-green colour blindness."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Markers, for figures printed without colour."""
CLEAN_COLOUR, WRONG_COLOUR = "#0072B2", "#D55E00"


def panels(rows: int, columns: int, width: float, height: float) -> "tuple[Figure, Any]":
    """Create a figure of ``rows`` by ``columns`` panels, ``width`` by ``height`` inches each; axes as array (row, column)."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not through pyplot: the figure must not open in the session of the caller.
    with rc_context({"text.color": INK}):
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        quiet(ax)
    return figure, axes


def quiet(ax: "Axes") -> None:
    """Style axes: no top and right spine, grey ticks, light grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRID)
    ax.tick_params(length=0, labelsize=9, colors=FAINT)
    ax.grid(visible=True, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def heading(ax: "Axes", words: str, below: str = "") -> None:
    """Set the title of a panel, and a grey line below it."""
    ax.set_title(words + ("\n" if below else ""), loc="left", fontsize=11, fontweight="bold", color=INK)
    if below:
        ax.text(0, 1.02, below, transform=ax.transAxes, fontsize=9, color=FAINT, va="bottom")


def legend(figure: "Figure", *axes: "Axes") -> None:
    """Draw one legend below the figure with the entries of all ``axes``, without duplicates."""
    shown: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(shown.values()),
        list(shown),
        loc="outside lower center",
        ncols=min(len(shown), 5),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def kept(figure: "Figure", path: Path) -> None:
    """Save the figure atomically."""
    with whole_file(path) as draft:
        figure.savefig(draft, dpi=160, bbox_inches="tight", pad_inches=0.15)
