"""Write the report of the label-noise benchmark from its records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from okrcell.benchmarking.noise.figures import draw_curves
from okrcell.benchmarking.noise.histograms import detections_to_draw, draw_histograms
from okrcell.benchmarking.noise.ladder import draw_ladder
from okrcell.benchmarking.noise.report import report
from okrcell.benchmarking.noise.summary import NoiseSummary, Record, summarize
from okrcell.storage import atomic_file
from okrcell.provenance import write_json

REPORT_FILE, SUMMARY_FILE = "report.md", "summary.json"


def publish(records: Sequence[Record], provenance: Mapping[str, Any], folder: Path) -> Path:
    """Write the report, its figures, and all numbers with the provenance ``provenance``; return the path of the report."""
    summary = summarize(records)
    pictures = _draw(summary, folder)
    write_json(folder / SUMMARY_FILE, {**provenance, "runs": len(records), **asdict(summary)})
    with atomic_file(folder / REPORT_FILE) as draft:
        draft.write_text(report(summary, records, provenance, pictures), encoding="utf-8")
    return folder / REPORT_FILE


def _draw(summary: NoiseSummary, folder: Path) -> dict[str, str]:
    """Draw every figure that the summary has data for; return title to file name."""
    pictures: dict[str, str] = {}
    if summary.kinds and len(summary.rates) > 1:
        draw_curves(summary, folder / "noise.png")
        pictures["Scores by rate of noise"] = "noise.png"
    if len(summary.objectives) > 1:
        draw_ladder(summary, folder / "ladder.png")
        pictures["Scores of every objective, with and without noise"] = "ladder.png"
    detections = {name: selected for name in summary.objectives if (selected := detections_to_draw(summary, name))}
    max_kinds = max(map(len, detections.values()), default=0)
    for name, selected in detections.items():
        # Objectives with fewer kinds of noise than others are shown in the table only.
        if len(selected) == max_kinds:
            draw_histograms(selected, folder / f"reliability-{name}.png")
            pictures[f"Symmetry of right and of wrong pairs, {name}"] = f"reliability-{name}.png"
    return pictures
