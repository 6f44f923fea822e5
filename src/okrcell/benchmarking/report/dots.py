"""Dot plots of methods with intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from okrcell.benchmarking.canvas import FAINT, GRID, heading, kept, panels
from okrcell.benchmarking.intervals import Estimate
from okrcell.benchmarking.report.looks import OURS, colour_of
from okrcell.benchmarking.report.summary import Line, Summary, Table
from okrcell.benchmarking.report.words import MEASURES, TASKS, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.27
"""Height of a method's row in inches."""


def draw_overview(summary: Summary, tasks: Sequence[str], path: Path) -> None:
    """Draw the main metrics of every task, mean over data sets, one panel each."""
    shown = [(summary.of_task(task)[0], measure) for task in tasks for measure in TASKS[task].goals[:2]]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    most = max(len(table.lines) for table, _ in shown)
    figure, axes = panels(rows, columns, 4.3, 0.9 + ROW * most)
    for ax, (table, measure) in zip(axes.flat, shown, strict=False):
        _dots(ax, summary, [(line, line.mean.get(measure)) for line in table.lines])
        heading(ax, f"{TASKS[table.task].title}: {MEASURES[measure]}")
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    kept(figure, path)


def draw_by_set(summary: Summary, table: Table, path: Path) -> None:
    """Draw the first main metric of a task, one panel per data set, with the same order of methods."""
    measure = TASKS[table.task].goals[0]
    columns = min(4, len(table.sets))
    rows = -(-len(table.sets) // columns)
    order = [line for line, _ in _ordered([(line, line.mean.get(measure)) for line in table.lines])]
    figure, axes = panels(rows, columns, 3.1, 0.9 + ROW * len(order))
    for place, (ax, name) in enumerate(zip(axes.flat, table.sets, strict=False)):
        _dots(ax, summary, [(line, line.by_set.get(name, {}).get(measure)) for line in order], sort=False)
        heading(ax, set_title(name))
        if place % columns:
            ax.tick_params(labelleft=False)
    for ax in axes.flat[len(table.sets) :]:
        ax.set_visible(False)
    figure.supxlabel(f"{MEASURES[measure]}, mean and 95 % interval over seeds", fontsize=9, color=FAINT)
    kept(figure, path)


def _dots(ax: "Axes", summary: Summary, figures: Sequence[tuple[Line, Estimate | None]], *, sort: bool = True) -> None:
    """Draw one row per method, the best on top; a method without scores on a data set has a hollow marker."""
    ordered = _ordered(figures) if sort else list(figures)
    for place, (line, one) in enumerate(ordered):
        colour = colour_of(summary, line.method)
        if one is None:
            ax.text(0.02, place, "no score", transform=ax.get_yaxis_transform(), fontsize=8, color=FAINT, va="center")
            continue
        if one.low is not None and one.high is not None:
            ax.plot([one.low, one.high], [place, place], color=colour, linewidth=2, alpha=0.55, solid_capstyle="round")
        ax.plot(
            one.mean,
            place,
            marker="o",
            markersize=8 if summary.kinds.get(line.method) == "ours" else 6.5,
            color=colour if not line.lacks else "white",
            markeredgecolor=colour,
            linestyle="none",
        )
    ax.set_yticks(range(len(ordered)), [summary.titles.get(line.method, line.method) for line, _ in ordered])
    ax.set_ylim(len(ordered) - 0.4, -0.6)
    ax.grid(visible=False, axis="x")
    for label, (line, _) in zip(ax.get_yticklabels(), ordered, strict=True):
        if summary.kinds.get(line.method) == "ours":
            label.set(color=OURS, fontweight="bold")
    ax.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    ax.margins(x=0.08)


def _ordered(figures: Sequence[tuple[Line, Estimate | None]]) -> list[tuple[Line, Estimate | None]]:
    return sorted(figures, key=lambda pair: -pair[1].mean if pair[1] else float("inf"))
