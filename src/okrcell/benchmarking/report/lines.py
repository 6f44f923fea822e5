"""Line plots: scores by number of examples, by downsampling, and by confidence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.benchmarking.canvas import FAINT, heading, kept, legend, panels
from okrcell.benchmarking.intervals import Estimate
from okrcell.benchmarking.report.looks import styles_of
from okrcell.benchmarking.report.summary import Summary, Table
from okrcell.benchmarking.report.words import TASKS, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_few_shot(summary: Summary, path: Path) -> None:
    """Macro-F1 against K; the mean first, then each data set."""
    tables = sorted(summary.of_task("few_shot"), key=_k)
    sets = tables[0].sets
    columns = min(4, len(sets) + 1)
    figure, axes = panels(-(-(len(sets) + 1) // columns), columns, 3.0, 2.8)
    methods = list(dict.fromkeys(line.method for table in tables for line in table.lines))
    styles = styles_of(summary, methods)
    for ax, name in zip(axes.flat, (None, *sets), strict=False):
        for method in methods:
            points: list[tuple[int, Estimate]] = []
            for table in tables:
                line = table.line(method)
                if line is None or (name is None and line.lacks):
                    continue
                one = (line.mean if name is None else line.by_set.get(name, {})).get("macro_f1")
                if one is not None:
                    points.append((_k(table), one))
            _curve(ax, points, styles[method], summary.titles.get(method, method))
        heading(ax, f"mean over {len(sets)} sets" if name is None else set_title(name))
        ax.set_xticks([_k(table) for table in tables])
    for ax in axes.flat[len(sets) + 1 :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("macro-F1", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("examples of each type", fontsize=9)
    legend(figure, *axes.flat)
    kept(figure, path)


def _k(table: Table) -> int:
    return int(table.case.removeprefix("K = "))


def draw_robustness(summary: Summary, path: Path) -> None:
    """Change of accuracy in points, one panel per kind of downsampling."""
    tables = {table.case: table for table in summary.of_task("robustness")}
    groups: list[tuple[str, str, list[tuple[str, float]]]] = [
        ("Dropout", "entries set to zero", [(case, _number(case)) for case in tables if "dropout" in case]),
        ("Gene panels", "genes measured", [(case, _number(case)) for case in tables if case.endswith("genes")]),
        ("Depth", "fraction of the molecules", [(case, 1 / _number(case)) for case in tables if "depth" in case]),
    ]
    groups = [group for group in groups if group[2]]
    figure, axes = panels(1, len(groups), 4.2, 3.8)
    methods = list(dict.fromkeys(line.method for table in tables.values() for line in table.lines))
    styles = styles_of(summary, methods)
    for ax, (title, below, cases) in zip(axes.flat, groups, strict=True):
        cases.sort(key=lambda one: one[1])
        for method in methods:
            points = [
                (value, one)
                for case, value in cases
                if (line := tables[case].line(method)) and (one := line.mean.get("lost"))
            ]
            _curve(ax, points, styles[method], summary.titles.get(method, method), times=100)
        heading(ax, title)
        ax.set_xlabel(below, fontsize=9)
        ax.axhline(0, color=FAINT, linewidth=0.8)
        if title != "Dropout":
            ax.set_xscale("log")
            ax.invert_xaxis()
            ax.minorticks_off()
        ax.set_xticks([value for _, value in cases], [_tick(case) for case, _ in cases])
    axes.flat[0].set_ylabel("change of accuracy, points", fontsize=9)
    legend(figure, *axes.flat)
    kept(figure, path)


def draw_confidence(summary: Summary, tasks: Sequence[str], path: Path) -> None:
    """Accuracy of the most confident cells, one panel per task; informative confidence gives curves that fall to the right."""
    figure, axes = panels(1, len(tasks), 4.6, 3.6)
    lines = [(task, line) for task in tasks for line in summary.of_task(task)[0].lines if line.by_coverage]
    styles = styles_of(summary, list(dict.fromkeys(line.method for _, line in lines)))
    for ax, task in zip(axes.flat, tasks, strict=True):
        for line in (line for one, line in lines if one == task):
            share = [float(one) for one in line.by_coverage]
            style = {**styles[line.method], "markersize": 4}
            ax.plot(share, list(line.by_coverage.values()), label=summary.titles.get(line.method, line.method), **style)
        heading(ax, TASKS[task].title)
        ax.set_xlabel("most confident fraction of the cells", fontsize=9)
        ax.set_xticks([0.2, 0.4, 0.6, 0.8, 1.0], [f"{share} %" for share in (20, 40, 60, 80, 100)])
    axes.flat[0].set_ylabel("accuracy, mean over sets", fontsize=9)
    legend(figure, *axes.flat)
    kept(figure, path)


def _number(case: str) -> float:
    digits = case.removeprefix("depth 1/").removeprefix("dropout ").removesuffix(" genes")
    return float(digits.removesuffix("%")) / (100 if digits.endswith("%") else 1)


def _tick(case: str) -> str:
    return case.removeprefix("depth ").removeprefix("dropout ").removesuffix(" genes").replace("%", " %")


def _curve(
    ax: "Axes", points: Sequence[tuple[float, Estimate]], style: Mapping[str, Any], label: str, times: float = 1
) -> None:
    if not points:
        return
    where = [place for place, _ in points]
    ax.plot(where, [one.mean * times for _, one in points], label=label, **style)
    ends = [(one.low, one.high) for _, one in points if one.low is not None and one.high is not None]
    if len(ends) == len(points):
        low, high = zip(*ends, strict=True)
        ax.fill_between(
            where,
            [one * times for one in low],
            [one * times for one in high],
            color=style["color"],
            alpha=0.12,
            linewidth=0,
        )
