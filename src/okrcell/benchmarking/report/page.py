"""The report as a self-contained HTML page."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from okrcell.benchmarking.report.grids import grids_of
from okrcell.benchmarking.report.pictures import Pictures
from okrcell.benchmarking.report.story import story
from okrcell.benchmarking.report.summary import Summary
from okrcell.benchmarking.report.words import TASKS, points


def page(summary: Summary, made: Mapping[str, Any], pictures: Pictures, absent: Mapping[str, str], folder: Path) -> str:
    """Render the page; figures are read from ``folder`` and embedded as data URLs."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["points"] = points
    source = files("okrcell.benchmarking.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    text = story(summary, made, absent)
    return environment.from_string(source).render(
        title=text.title,
        opening=text.opening,
        comparisons=text.verdicts,
        failures=text.failures,
        sets=text.sets,
        provenance=text.making,
        tasks=[(task, TASKS[task], grids_of(summary, task)) for task in summary.tasks],
        titles=summary.titles,
        task_titles={task: TASKS[task].title for task in summary.tasks},
        pictures={task: [(title, _inline(folder / file)) for title, file in some] for task, some in pictures.items()},
    )


def _inline(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
