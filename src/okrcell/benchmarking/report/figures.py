"""All figures of the report, and the style that the figures of label noise share."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.benchmarking.report.summary import (
    DOWNSAMPLING_TASKS,
    METRIC_TITLES,
    TASK_INFO,
    UNMODIFIED_CASE,
    BenchmarkSummary,
    MethodScores,
    TaskScores,
    dataset_title,
)
from okrcell.metrics.intervals import Estimate
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
OURS_COLOR, CONTROL_COLOR, BASELINE_COLOR = "#4F46B8", "#8F89D6", "#6B7079"
ROW_HEIGHT = 0.27
"""Height of a method's row in inches."""
FigureFiles = dict[str, list[tuple[str, str]]]
"""Task ("" for all tasks) to (title, file name) of its figures."""


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


def draw_integration(summary: BenchmarkSummary, table: TaskScores, path: Path) -> None:
    """Scatter plot of AvgBIO against AvgBatch: the mean first, then each data set. The upper right is best."""
    panel_scores: list[tuple[str, Mapping[str, Mapping[str, Estimate | None]]]] = [
        (f"mean over {len(table.sets)} sets", {line.method: line.mean for line in table.lines if not line.lacks})
    ]
    panel_scores += [
        (dataset_title(name), {line.method: line.by_set[name] for line in table.lines if name in line.by_set})
        for name in table.sets
    ]
    columns = min(3, len(panel_scores))
    figure, axes = create_panels(-(-len(panel_scores) // columns), columns, 3.9, 3.6)
    styles = method_styles(summary, [line.method for line in table.lines])
    for ax, (title, figures) in zip(axes.flat, panel_scores, strict=False):
        for method, measures in figures.items():
            batch_score, bio_score = measures.get("avg_batch"), measures.get("avg_bio")
            if batch_score is None or bio_score is None:
                continue
            style = styles[method]
            for value, direction in ((batch_score, "h"), (bio_score, "v")):
                if value.low is None or value.high is None:
                    continue
                bounds = [value.low, value.high]
                fixed = [bio_score.mean, bio_score.mean] if direction == "h" else [batch_score.mean, batch_score.mean]
                coordinates = (bounds, fixed) if direction == "h" else (fixed, bounds)
                ax.plot(*coordinates, color=style["color"], alpha=0.4, linewidth=1.6)
            ax.plot(
                batch_score.mean,
                bio_score.mean,
                label=summary.titles.get(method, method),
                **{**style, "linestyle": "none"},
            )
        set_heading(ax, title)
        ax.margins(0.12)
    for ax in axes[:, 0]:
        ax.set_ylabel("AvgBIO: type separation", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("AvgBatch: batch mixing", fontsize=9)
    for ax in axes.flat[len(panel_scores) :]:
        ax.set_visible(False)
    shared_legend(figure, *axes.flat)
    save_figure(figure, path)


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


def draw_robustness(summary: BenchmarkSummary, task: str, path: Path) -> None:
    """Change of accuracy in points, one panel per kind of downsampling."""
    tables = {table.case: table for table in summary.of_task(task)}
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


def draw_figures(summary: BenchmarkSummary, folder: Path) -> FigureFiles:
    """Draw every figure that the summary has data for."""
    figures: FigureFiles = {}

    def add_figure(task: str, title: str, name: str, draw_function: Callable[[Path], None]) -> None:
        draw_function(folder / name)
        figures.setdefault(task, []).append((title, name))

    main_tasks = [task for task in summary.tasks if task not in ("few_shot", *DOWNSAMPLING_TASKS)]
    if main_tasks:
        add_figure("", "Overview of all tasks", "overview.png", lambda path: draw_overview(summary, main_tasks, path))
    for task in main_tasks:
        table = summary.of_task(task)[0]
        if task == "integration":
            title = "Batch mixing and type separation"
            add_figure(task, title, "integration.png", lambda path, table=table: draw_integration(summary, table, path))
        elif len(table.sets) > 1:
            title = f"{TASK_INFO[task].title}, by data set"
            add_figure(task, title, f"{task}.png", lambda path, table=table: draw_by_set(summary, table, path))
    calibrated_tasks = [task for task in main_tasks if any(line.by_coverage for line in summary.of_task(task)[0].lines)]
    if calibrated_tasks:
        title = "Accuracy by confidence"
        add_figure(
            calibrated_tasks[-1], title, "confidence.png", lambda path: draw_confidence(summary, calibrated_tasks, path)
        )
    if summary.of_task("few_shot"):
        add_figure("few_shot", "Few-shot annotation", "few_shot.png", lambda path: draw_few_shot(summary, path))
    for task in DOWNSAMPLING_TASKS:
        if any(table.case != UNMODIFIED_CASE for table in summary.of_task(task)):
            title = TASK_INFO[task].title
            add_figure(task, title, f"{task}.png", lambda path, task=task: draw_robustness(summary, task, path))
    return figures
