"""The report as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from okrcell.benchmarking.report.tables import ResultTable, result_tables
from okrcell.benchmarking.report.pictures import FigureFiles
from okrcell.benchmarking.report.story import ReportText, report_text
from okrcell.benchmarking.report.summary import BenchmarkSummary
from okrcell.benchmarking.report.words import TASK_INFO


def render_markdown(
    summary: BenchmarkSummary, provenance: Mapping[str, Any], pictures: FigureFiles, absent: Mapping[str, str]
) -> str:
    """Write the report."""
    text = report_text(summary, provenance, absent)
    sections = [f"# {text.title}", text.opening, *_comparison_list(text, "")]
    sections += [f"![{title}]({file})" for title, file in pictures.get("", ())]
    for task in summary.tasks:
        sections += [f"## {TASK_INFO[task].title}", TASK_INFO[task].protocol, *_comparison_list(text, task)]
        sections += [f"![{title}]({file})" for title, file in pictures.get(task, ())]
        for grid in result_tables(summary, task):
            sections += [f"**{grid.title}**", _table(grid), *([grid.note] if grid.note else [])]
    if text.failures:
        sections += ["## Failures", "\n".join(f"- {line}" for line in text.failures)]
    sections += ["## Data sets", *_rows(("data set", "cells scored", "source", "licence of the source"), text.sets)]
    sections += ["## Reproducibility", text.provenance]
    return "\n\n".join(sections) + "\n"


def _comparison_list(text: ReportText, task: str) -> list[str]:
    lines = text.comparisons if not task else [comparison for comparison in text.comparisons if comparison.task == task]
    if not lines:
        return []
    heads = {comparison.task: f"**{TASK_INFO[comparison.task].title}.** " for comparison in lines} if not task else {}
    return ["\n".join(f"- {heads.get(comparison.task, '')}{comparison.sentence}" for comparison in lines)]


def _table(grid: ResultTable) -> str:
    lines = [("method", *grid.head), ("---", *("---:" for _ in grid.head))]
    for row in grid.rows:
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in row.cells]
        lines.append((f"**{row.title}**" if row.kind == "ours" else row.title, *cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]
