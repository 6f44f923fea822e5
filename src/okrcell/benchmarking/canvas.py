"""Colours, axes and legends of the benchmark's figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.storage import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT_COLOR, MUTED_COLOR, GRID_COLOR = "#22252B", "#6B7079", "#E4E6EA"
COLORS = ("#4F46B8", "#D55E00", "#009E73", "#CC79A7", "#0072B2", "#B8860B", "#56B4E9", "#882255")
"""Palette after Okabe and Ito, safe for red-green colour blindness."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Markers, for figures printed without colour."""
CLEAN_COLOR, WRONG_COLOR = "#0072B2", "#D55E00"


def create_panels(rows: int, columns: int, width: float, height: float) -> "tuple[Figure, Any]":
    """Create a figure of ``rows`` by ``columns`` panels, ``width`` by ``height`` inches each; axes as array (row, column)."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not through pyplot: the figure must not open in the session of the caller.
    with rc_context({"text.color": TEXT_COLOR}):
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        style_axes(ax)
    return figure, axes


def style_axes(ax: "Axes") -> None:
    """Style axes: no top and right spine, grey ticks, light grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRID_COLOR)
    ax.tick_params(length=0, labelsize=9, colors=MUTED_COLOR)
    ax.grid(visible=True, color=GRID_COLOR, linewidth=0.8)
    ax.set_axisbelow(True)


def set_heading(ax: "Axes", title: str, subtitle: str = "") -> None:
    """Set the title of a panel, and a grey line below it."""
    ax.set_title(title + ("\n" if subtitle else ""), loc="left", fontsize=11, fontweight="bold", color=TEXT_COLOR)
    if subtitle:
        ax.text(0, 1.02, subtitle, transform=ax.transAxes, fontsize=9, color=MUTED_COLOR, va="bottom")


def shared_legend(figure: "Figure", *axes: "Axes") -> None:
    """Draw one legend below the figure with the entries of all ``axes``, without duplicates."""
    entries: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=min(len(entries), 5),
        frameon=False,
        fontsize=9,
        labelcolor=TEXT_COLOR,
    )


def save_figure(figure: "Figure", path: Path) -> None:
    """Save the figure atomically."""
    with atomic_file(path) as draft:
        figure.savefig(draft, dpi=160, bbox_inches="tight", pad_inches=0.15)
