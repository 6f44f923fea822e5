"""The report as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from okrcell.benchmarking.report.grids import Grid, grids_of
from okrcell.benchmarking.report.pictures import Pictures
from okrcell.benchmarking.report.story import Story, story
from okrcell.benchmarking.report.summary import Summary
from okrcell.benchmarking.report.words import TASKS


def markdown(summary: Summary, made: Mapping[str, Any], pictures: Pictures, absent: Mapping[str, str]) -> str:
    """Write the report."""
    told = story(summary, made, absent)
    parts = [f"# {told.title}", told.opening, *_verdicts(told, "")]
    parts += [f"![{title}]({file})" for title, file in pictures.get("", ())]
    for task in summary.tasks:
        parts += [f"## {TASKS[task].title}", TASKS[task].protocol, *_verdicts(told, task)]
        parts += [f"![{title}]({file})" for title, file in pictures.get(task, ())]
        for grid in grids_of(summary, task):
            parts += [f"**{grid.title}**", _table(grid), *([grid.note] if grid.note else [])]
    if told.failures:
        parts += ["## Failures", "\n".join(f"- {line}" for line in told.failures)]
    parts += ["## Data sets", *_rows(("data set", "cells scored", "source", "licence of the source"), told.sets)]
    parts += ["## Reproducibility", told.making]
    return "\n\n".join(parts) + "\n"


def _verdicts(told: Story, task: str) -> list[str]:
    lines = told.verdicts if not task else [one for one in told.verdicts if one.task == task]
    if not lines:
        return []
    heads = {one.task: f"**{TASKS[one.task].title}.** " for one in lines} if not task else {}
    return ["\n".join(f"- {heads.get(one.task, '')}{one.sentence}" for one in lines)]


def _table(grid: Grid) -> str:
    lines = [("method", *grid.head), ("---", *("---:" for _ in grid.head))]
    for row in grid.rows:
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in row.cells]
        lines.append((f"**{row.title}**" if row.kind == "ours" else row.title, *cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]
