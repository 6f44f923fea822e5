"""Write the report of the label-noise benchmark from its records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from okrcell.benchmarking.noise.curves import draw_curves
from okrcell.benchmarking.noise.histograms import draw_histograms, told_of
from okrcell.benchmarking.noise.ladder import draw_ladder
from okrcell.benchmarking.noise.report import report
from okrcell.benchmarking.noise.summary import Record, Summary, summarised
from okrcell.files import whole_file
from okrcell.provenance import write_json

REPORT, FIGURES = "report.md", "summary.json"


def publish(records: Sequence[Record], made: Mapping[str, Any], folder: Path) -> Path:
    """Write the report, its figures, and all numbers with the provenance ``made``; return the path of the report."""
    summary = summarised(records)
    pictures = _draw(summary, folder)
    write_json(folder / FIGURES, {**made, "runs": len(records), **asdict(summary)})
    with whole_file(folder / REPORT) as draft:
        draft.write_text(report(summary, records, made, pictures), encoding="utf-8")
    return folder / REPORT


def _draw(summary: Summary, folder: Path) -> dict[str, str]:
    """Draw every figure that the summary has data for; return title to file name."""
    pictures: dict[str, str] = {}
    if summary.kinds and len(summary.rates) > 1:
        draw_curves(summary, folder / "noise.png")
        pictures["Scores by rate of noise"] = "noise.png"
    if len(summary.objectives) > 1:
        draw_ladder(summary, folder / "ladder.png")
        pictures["Scores of every objective, with and without noise"] = "ladder.png"
    told = {name: some for name in summary.objectives if (some := told_of(summary, name))}
    most = max(map(len, told.values()), default=0)
    for name, some in told.items():
        # Objectives with fewer kinds of noise than others are shown in the table only.
        if len(some) == most:
            draw_histograms(some, folder / f"reliability-{name}.png")
            pictures[f"Symmetry of right and of wrong pairs, {name}"] = f"reliability-{name}.png"
    return pictures
