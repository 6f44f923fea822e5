"""Draw all figures of the report."""

from collections.abc import Callable
from pathlib import Path

from okrcell.benchmarking.report.dots import draw_by_set, draw_overview
from okrcell.benchmarking.report.figures import draw_confidence, draw_few_shot, draw_robustness
from okrcell.benchmarking.report.plane import draw_integration
from okrcell.benchmarking.report.summary import UNMODIFIED_CASE, BenchmarkSummary
from okrcell.benchmarking.report.words import TASK_INFO

FigureFiles = dict[str, list[tuple[str, str]]]
"""Task ("" for all tasks) to (title, file name) of its figures."""


def draw_figures(summary: BenchmarkSummary, folder: Path) -> FigureFiles:
    """Draw every figure that the summary has data for."""
    figures: FigureFiles = {}

    def add_figure(task: str, title: str, name: str, draw_function: Callable[[Path], None]) -> None:
        draw_function(folder / name)
        figures.setdefault(task, []).append((title, name))

    main_tasks = [task for task in summary.tasks if task not in ("few_shot", "robustness")]
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
    if any(table.case != UNMODIFIED_CASE for table in summary.of_task("robustness")):
        add_figure("robustness", "Robustness", "robustness.png", lambda path: draw_robustness(summary, path))
    return figures
