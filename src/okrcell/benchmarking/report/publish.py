"""Write the report of a benchmark from its records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from okrcell.benchmarking.report.markdown import markdown
from okrcell.benchmarking.report.page import page
from okrcell.benchmarking.report.pictures import draw_all
from okrcell.benchmarking.report.summarise import summarised
from okrcell.benchmarking.report.verdicts import verdicts
from okrcell.files import whole_file
from okrcell.provenance import write_json

REPORT, PAGE, FIGURES = "report.md", "report.html", "summary.json"


def publish(
    records: Sequence[Mapping[str, Any]], made: Mapping[str, Any], absent: Mapping[str, str], folder: Path
) -> Path:
    """Write the report as Markdown and HTML, its figures, and all numbers as JSON; return the path of the HTML page.

    Parameters
    ----------
    records
        Lines of the records.
    made
        Provenance of the benchmark.
    absent
        Method that was selected but not run, to the reason.
    folder
        Folder of the benchmark.
    """
    summary = summarised(records, made["methods"])
    pictures = draw_all(summary, folder)
    judged = [asdict(one) | {"outcome": one.outcome} for one in verdicts(summary)]
    write_json(folder / FIGURES, {**made, "absent": dict(absent), "verdicts": judged, **asdict(summary)})
    with whole_file(folder / REPORT) as draft:
        draft.write_text(markdown(summary, made, pictures, absent), encoding="utf-8")
    with whole_file(folder / PAGE) as draft:
        draft.write_text(page(summary, made, pictures, absent, folder), encoding="utf-8")
    return folder / PAGE
