"""Line plots: scores by number of examples, by downsampling, and by confidence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.benchmarking.canvas import MUTED_COLOR, create_panels, save_figure, set_heading, shared_legend
from okrcell.metrics.intervals import Estimate
from okrcell.benchmarking.report.looks import method_styles
from okrcell.benchmarking.report.summary import BenchmarkSummary, TaskScores
from okrcell.benchmarking.report.words import TASK_INFO, dataset_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_few_shot(summary: BenchmarkSummary, path: Path) -> None:
    """Macro-F1 against K; the mean first, then each data set."""
    tables = sorted(summary.of_task("few_shot"), key=_k)
    sets = tables[0].sets
    columns = min(4, len(sets) + 1)
    figure, axes = create_panels(-(-(len(sets) + 1) // columns), columns, 3.0, 2.8)
    methods = list(dict.fromkeys(line.method for table in tables for line in table.lines))
    styles = method_styles(summary, methods)
    for ax, name in zip(axes.flat, (None, *sets), strict=False):
        for method in methods:
            points: list[tuple[int, Estimate]] = []
            for table in tables:
                line = table.line(method)
                if line is None or (name is None and line.lacks):
                    continue
                value = (line.mean if name is None else line.by_set.get(name, {})).get("macro_f1")
                if value is not None:
                    points.append((_k(table), value))
            _draw_curve(ax, points, styles[method], summary.titles.get(method, method))
        set_heading(ax, f"mean over {len(sets)} sets" if name is None else dataset_title(name))
        ax.set_xticks([_k(table) for table in tables])
    for ax in axes.flat[len(sets) + 1 :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("macro-F1", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("examples of each type", fontsize=9)
    shared_legend(figure, *axes.flat)
    save_figure(figure, path)


def _k(table: TaskScores) -> int:
    return int(table.case.removeprefix("K = "))


def draw_robustness(summary: BenchmarkSummary, path: Path) -> None:
    """Change of accuracy in points, one panel per kind of downsampling."""
    tables = {table.case: table for table in summary.of_task("robustness")}
    groups: list[tuple[str, str, list[tuple[str, float]]]] = [
        ("Dropout", "entries set to zero", [(case, _case_value(case)) for case in tables if "dropout" in case]),
        ("Gene panels", "genes measured", [(case, _case_value(case)) for case in tables if case.endswith("genes")]),
        ("Depth", "fraction of the molecules", [(case, 1 / _case_value(case)) for case in tables if "depth" in case]),
    ]
    groups = [group for group in groups if group[2]]
    figure, axes = create_panels(1, len(groups), 4.2, 3.8)
    methods = list(dict.fromkeys(line.method for table in tables.values() for line in table.lines))
    styles = method_styles(summary, methods)
    for ax, (title, axis_label, cases) in zip(axes.flat, groups, strict=True):
        cases.sort(key=lambda item: item[1])
        for method in methods:
            points = [
                (value, item)
                for case, value in cases
                if (line := tables[case].line(method)) and (item := line.mean.get("lost"))
            ]
            _draw_curve(ax, points, styles[method], summary.titles.get(method, method), scale=100)
        set_heading(ax, title)
        ax.set_xlabel(axis_label, fontsize=9)
        ax.axhline(0, color=MUTED_COLOR, linewidth=0.8)
        if title != "Dropout":
            ax.set_xscale("log")
            ax.invert_xaxis()
            ax.minorticks_off()
        ax.set_xticks([value for _, value in cases], [_tick_label(case) for case, _ in cases])
    axes.flat[0].set_ylabel("change of accuracy, points", fontsize=9)
    shared_legend(figure, *axes.flat)
    save_figure(figure, path)


def draw_confidence(summary: BenchmarkSummary, tasks: Sequence[str], path: Path) -> None:
    """Accuracy of the most confident cells, one panel per task; informative confidence gives curves that fall to the right."""
    figure, axes = create_panels(1, len(tasks), 4.6, 3.6)
    lines = [(task, line) for task in tasks for line in summary.of_task(task)[0].lines if line.by_coverage]
    styles = method_styles(summary, list(dict.fromkeys(line.method for _, line in lines)))
    for ax, task in zip(axes.flat, tasks, strict=True):
        for line in (line for key, line in lines if key == task):
            fraction = [float(key) for key in line.by_coverage]
            style = {**styles[line.method], "markersize": 4}
            ax.plot(
                fraction, list(line.by_coverage.values()), label=summary.titles.get(line.method, line.method), **style
            )
        set_heading(ax, TASK_INFO[task].title)
        ax.set_xlabel("most confident fraction of the cells", fontsize=9)
        ax.set_xticks([0.2, 0.4, 0.6, 0.8, 1.0], [f"{fraction} %" for fraction in (20, 40, 60, 80, 100)])
    axes.flat[0].set_ylabel("accuracy, mean over sets", fontsize=9)
    shared_legend(figure, *axes.flat)
    save_figure(figure, path)


def _case_value(case: str) -> float:
    digits = case.removeprefix("depth 1/").removeprefix("dropout ").removesuffix(" genes")
    return float(digits.removesuffix("%")) / (100 if digits.endswith("%") else 1)


def _tick_label(case: str) -> str:
    return case.removeprefix("depth ").removeprefix("dropout ").removesuffix(" genes").replace("%", " %")


def _draw_curve(
    ax: "Axes", points: Sequence[tuple[float, Estimate]], style: Mapping[str, Any], label: str, scale: float = 1
) -> None:
    if not points:
        return
    positions = [position for position, _ in points]
    ax.plot(positions, [value.mean * scale for _, value in points], label=label, **style)
    bounds = [(value.low, value.high) for _, value in points if value.low is not None and value.high is not None]
    if len(bounds) == len(points):
        low, high = zip(*bounds, strict=True)
        ax.fill_between(
            positions,
            [value * scale for value in low],
            [value * scale for value in high],
            color=style["color"],
            alpha=0.12,
            linewidth=0,
        )
