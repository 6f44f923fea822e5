"""Dot plots of methods with intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from okrcell.benchmarking.canvas import GRID_COLOR, MUTED_COLOR, create_panels, save_figure, set_heading
from okrcell.metrics.intervals import Estimate
from okrcell.benchmarking.report.looks import OURS_COLOR, method_color
from okrcell.benchmarking.report.summary import BenchmarkSummary, MethodScores, TaskScores
from okrcell.benchmarking.report.words import METRIC_TITLES, TASK_INFO, dataset_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_HEIGHT = 0.27
"""Height of a method's row in inches."""


def draw_overview(summary: BenchmarkSummary, tasks: Sequence[str], path: Path) -> None:
    """Draw the main metrics of every task, mean over data sets, one panel each."""
    panel_metrics = [
        (summary.of_task(task)[0], measure) for task in tasks for measure in TASK_INFO[task].main_metrics[:2]
    ]
    columns = min(3, len(panel_metrics))
    rows = -(-len(panel_metrics) // columns)
    max_methods = max(len(table.lines) for table, _ in panel_metrics)
    figure, axes = create_panels(rows, columns, 4.3, 0.9 + ROW_HEIGHT * max_methods)
    for ax, (table, measure) in zip(axes.flat, panel_metrics, strict=False):
        _draw_dots(ax, summary, [(line, line.mean.get(measure)) for line in table.lines])
        set_heading(ax, f"{TASK_INFO[table.task].title}: {METRIC_TITLES[measure]}")
    for ax in axes.flat[len(panel_metrics) :]:
        ax.set_visible(False)
    save_figure(figure, path)


def draw_by_set(summary: BenchmarkSummary, table: TaskScores, path: Path) -> None:
    """Draw the first main metric of a task, one panel per data set, with the same order of methods."""
    measure = TASK_INFO[table.task].main_metrics[0]
    columns = min(4, len(table.sets))
    rows = -(-len(table.sets) // columns)
    order = [line for line, _ in _sort_by_mean([(line, line.mean.get(measure)) for line in table.lines])]
    figure, axes = create_panels(rows, columns, 3.1, 0.9 + ROW_HEIGHT * len(order))
    for i, (ax, name) in enumerate(zip(axes.flat, table.sets, strict=False)):
        _draw_dots(ax, summary, [(line, line.by_set.get(name, {}).get(measure)) for line in order], sort=False)
        set_heading(ax, dataset_title(name))
        if i % columns:
            ax.tick_params(labelleft=False)
    for ax in axes.flat[len(table.sets) :]:
        ax.set_visible(False)
    figure.supxlabel(f"{METRIC_TITLES[measure]}, mean and 95 % interval over seeds", fontsize=9, color=MUTED_COLOR)
    save_figure(figure, path)


def _draw_dots(
    ax: "Axes", summary: BenchmarkSummary, figures: Sequence[tuple[MethodScores, Estimate | None]], *, sort: bool = True
) -> None:
    """Draw one row per method, the best on top; a method without scores on a data set has a hollow marker."""
    ordered = _sort_by_mean(figures) if sort else list(figures)
    for y, (line, value) in enumerate(ordered):
        color = method_color(summary, line.method)
        if value is None:
            ax.text(0.02, y, "no score", transform=ax.get_yaxis_transform(), fontsize=8, color=MUTED_COLOR, va="center")
            continue
        if value.low is not None and value.high is not None:
            ax.plot([value.low, value.high], [y, y], color=color, linewidth=2, alpha=0.55, solid_capstyle="round")
        ax.plot(
            value.mean,
            y,
            marker="o",
            markersize=8 if summary.kinds.get(line.method) == "ours" else 6.5,
            color=color if not line.lacks else "white",
            markeredgecolor=color,
            linestyle="none",
        )
    ax.set_yticks(range(len(ordered)), [summary.titles.get(line.method, line.method) for line, _ in ordered])
    ax.set_ylim(len(ordered) - 0.4, -0.6)
    ax.grid(visible=False, axis="x")
    for label, (line, _) in zip(ax.get_yticklabels(), ordered, strict=True):
        if summary.kinds.get(line.method) == "ours":
            label.set(color=OURS_COLOR, fontweight="bold")
    ax.grid(visible=True, axis="x", color=GRID_COLOR, linewidth=0.8)
    ax.margins(x=0.08)


def _sort_by_mean(
    figures: Sequence[tuple[MethodScores, Estimate | None]],
) -> list[tuple[MethodScores, Estimate | None]]:
    return sorted(figures, key=lambda pair: -pair[1].mean if pair[1] else float("inf"))
