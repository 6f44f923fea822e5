"""Ink and paper of the benchmark's pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#22252B", "#6B7079", "#E4E6EA"
COLOURS = ("#4F46B8", "#D55E00", "#009E73", "#CC79A7", "#0072B2", "#B8860B", "#56B4E9", "#882255")
"""After Okabe and Ito: told apart by the common eye and by those that confuse red with green."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""A shape for each as well, for paper without colour."""
CLEAN_COLOUR, WRONG_COLOUR = "#0072B2", "#D55E00"


def panels(rows: int, columns: int, width: float, height: float) -> "tuple[Figure, Any]":
    """Make a figure of ``rows`` by ``columns`` panels of so many inches each; axes as an array (row, column)."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not through pyplot: a picture made here must not open in the session of the one who calls.
    with rc_context({"text.color": INK}):
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        quiet(ax)
    return figure, axes


def quiet(ax: "Axes") -> None:
    """Take away what draws the eye from the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRID)
    ax.tick_params(length=0, labelsize=9, colors=FAINT)
    ax.grid(visible=True, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def heading(ax: "Axes", words: str, below: str = "") -> None:
    """Write what a panel shows above it, and in grey what stands out."""
    ax.set_title(words + ("\n" if below else ""), loc="left", fontsize=11, fontweight="bold", color=INK)
    if below:
        ax.text(0, 1.02, below, transform=ax.transAxes, fontsize=9, color=FAINT, va="bottom")


def legend(figure: "Figure", *axes: "Axes") -> None:
    """Write below the figure what the marks of its panels mean, each once."""
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
    """Write the picture, whole or not at all."""
    with whole_file(path) as draft:
        figure.savefig(draft, dpi=160, bbox_inches="tight", pad_inches=0.15)
