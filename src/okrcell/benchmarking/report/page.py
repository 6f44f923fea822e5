"""The report as a self-contained HTML page."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from okrcell.benchmarking.report.tables import result_tables
from okrcell.benchmarking.report.pictures import FigureFiles
from okrcell.benchmarking.report.story import report_text
from okrcell.benchmarking.report.summary import BenchmarkSummary
from okrcell.benchmarking.report.words import TASK_INFO, format_points


def render_page(
    summary: BenchmarkSummary,
    provenance: Mapping[str, Any],
    pictures: FigureFiles,
    absent: Mapping[str, str],
    folder: Path,
) -> str:
    """Render the page; figures are read from ``folder`` and embedded as data URLs."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["points"] = format_points
    source = files("okrcell.benchmarking.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    text = report_text(summary, provenance, absent)
    return environment.from_string(source).render(
        title=text.title,
        opening=text.opening,
        comparisons=text.comparisons,
        failures=text.failures,
        sets=text.sets,
        provenance=text.provenance,
        tasks=[(task, TASK_INFO[task], result_tables(summary, task)) for task in summary.tasks],
        titles=summary.titles,
        task_titles={task: TASK_INFO[task].title for task in summary.tasks},
        pictures={
            task: [(title, _inline(folder / file)) for title, file in figures] for task, figures in pictures.items()
        },
    )


def _inline(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
