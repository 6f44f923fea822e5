"""Draw all figures of the report."""

from collections.abc import Callable
from pathlib import Path

from okrcell.benchmarking.report.dots import draw_by_set, draw_overview
from okrcell.benchmarking.report.lines import draw_confidence, draw_few_shot, draw_robustness
from okrcell.benchmarking.report.plane import draw_plane
from okrcell.benchmarking.report.summary import WHOLE, Summary
from okrcell.benchmarking.report.words import TASKS

Pictures = dict[str, list[tuple[str, str]]]
"""Task ("" for all tasks) to (title, file name) of its figures."""


def draw_all(summary: Summary, folder: Path) -> Pictures:
    """Draw every figure that the summary has data for."""
    drawn: Pictures = {}

    def draw(task: str, title: str, name: str, how: Callable[[Path], None]) -> None:
        how(folder / name)
        drawn.setdefault(task, []).append((title, name))

    judged = [task for task in summary.tasks if task not in ("few_shot", "robustness")]
    if judged:
        draw("", "Overview of all tasks", "overview.png", lambda path: draw_overview(summary, judged, path))
    for task in judged:
        table = summary.of_task(task)[0]
        if task == "integration":
            title = "Batch mixing and type separation"
            draw(task, title, "integration.png", lambda path, table=table: draw_plane(summary, table, path))
        elif len(table.sets) > 1:
            title = f"{TASKS[task].title}, by data set"
            draw(task, title, f"{task}.png", lambda path, table=table: draw_by_set(summary, table, path))
    sure = [task for task in judged if any(line.by_coverage for line in summary.of_task(task)[0].lines)]
    if sure:
        title = "Accuracy by confidence"
        draw(sure[-1], title, "confidence.png", lambda path: draw_confidence(summary, sure, path))
    if summary.of_task("few_shot"):
        draw("few_shot", "Few-shot annotation", "few_shot.png", lambda path: draw_few_shot(summary, path))
    if any(table.case != WHOLE for table in summary.of_task("robustness")):
        draw("robustness", "Robustness", "robustness.png", lambda path: draw_robustness(summary, path))
    return drawn
