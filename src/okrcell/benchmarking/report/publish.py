"""Write the report of a benchmark from its records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from okrcell.benchmarking.report.figures import draw_figures
from okrcell.benchmarking.report.summary import summarize
from okrcell.benchmarking.report.tables import render_markdown, render_page
from okrcell.benchmarking.report.text import comparisons
from okrcell.provenance import write_json
from okrcell.storage import atomic_file

REPORT_FILE, PAGE_FILE, SUMMARY_FILE = "report.md", "report.html", "summary.json"


def publish(
    records: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any], absent: Mapping[str, str], folder: Path
) -> Path:
    """Write the report as Markdown and HTML, its figures, and all numbers as JSON; return the path of the HTML page.

    Parameters
    ----------
    records
        Lines of the records.
    provenance
        Provenance of the benchmark.
    absent
        Method that was selected but not run, to the reason.
    folder
        Folder of the benchmark.
    """
    summary = summarize(records, provenance["methods"])
    pictures = draw_figures(summary, folder)
    comparison_dicts = [asdict(comparison) | {"outcome": comparison.outcome} for comparison in comparisons(summary)]
    write_json(
        folder / SUMMARY_FILE, {**provenance, "absent": dict(absent), "verdicts": comparison_dicts, **asdict(summary)}
    )
    with atomic_file(folder / REPORT_FILE) as draft:
        draft.write_text(render_markdown(summary, provenance, pictures, absent), encoding="utf-8")
    with atomic_file(folder / PAGE_FILE) as draft:
        draft.write_text(render_page(summary, provenance, pictures, absent, folder), encoding="utf-8")
    return folder / PAGE_FILE
