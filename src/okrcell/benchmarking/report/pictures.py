"""The figures as pictures."""

from collections.abc import Callable
from pathlib import Path

from okrcell.benchmarking.report.dots import draw_by_set, draw_overview
from okrcell.benchmarking.report.lines import draw_confidence, draw_few_shot, draw_robustness
from okrcell.benchmarking.report.plane import draw_plane
from okrcell.benchmarking.report.summary import WHOLE, Summary
from okrcell.benchmarking.report.words import TASKS

Pictures = dict[str, list[tuple[str, str]]]
"""Task ("" for all tasks) to titles and file names."""


def draw_all(summary: Summary, folder: Path) -> Pictures:
    """Draw what there is to see."""
    drawn: Pictures = {}

    def draw(task: str, title: str, name: str, how: Callable[[Path], None]) -> None:
        how(folder / name)
        drawn.setdefault(task, []).append((title, name))

    judged = [task for task in summary.tasks if task not in ("few_shot", "robustness")]
    if judged:
        draw("", "Every task at a glance", "overview.png", lambda path: draw_overview(summary, judged, path))
    for task in judged:
        table = summary.of_task(task)[0]
        if task == "integration":
            title = "Batches mixed, and types apart"
            draw(task, title, "integration.png", lambda path, table=table: draw_plane(summary, table, path))
        elif len(table.sets) > 1:
            title = f"{TASKS[task].title}, set by set"
            draw(task, title, f"{task}.png", lambda path, table=table: draw_by_set(summary, table, path))
    sure = [task for task in judged if any(line.by_coverage for line in summary.of_task(task)[0].lines)]
    if sure:
        title = "Do methods know when they are right?"
        draw(sure[-1], title, "confidence.png", lambda path: draw_confidence(summary, sure, path))
    if summary.of_task("few_shot"):
        draw("few_shot", "Few examples", "few_shot.png", lambda path: draw_few_shot(summary, path))
    if any(table.case != WHOLE for table in summary.of_task("robustness")):
        draw("robustness", "Less to see", "robustness.png", lambda path: draw_robustness(summary, path))
    return drawn
