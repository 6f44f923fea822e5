"""Texts of the report, shared by Markdown and HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from okrcell.benchmarking.report.summary import BenchmarkSummary
from okrcell.benchmarking.report.text import BaselineComparison, comparisons
from okrcell.benchmarking.report.words import TASK_INFO, dataset_title
from okrcell.benchmarking.sets.card import cards


@dataclass(frozen=True)
class ReportText:
    """Texts of the report."""

    title: str
    opening: str
    comparisons: Sequence[BaselineComparison]
    failures: Sequence[str]
    sets: Sequence[tuple[str, str, str, str]]
    """Title, number of cells, source and licence of each file."""
    provenance: str


def report_text(summary: BenchmarkSummary, provenance: Mapping[str, Any], absent: Mapping[str, str]) -> ReportText:
    """Generate the texts of the report from the scores.

    Parameters
    ----------
    summary
        Scores of the benchmark.
    provenance
        Provenance of the benchmark.
    absent
        Method that was selected but not run, to the reason.
    """
    comparison_list = comparisons(summary)
    failures = [
        f"{summary.titles.get(failure.method, failure.method)}, {TASK_INFO[failure.task].title}, {dataset_title(failure.set)}: {failure.why}"
        for failure in summary.failures
    ]
    failures += [f"{name} was not run: {reason}" for name, reason in absent.items()]
    return ReportText(
        "Benchmark of okrcell and baseline methods",
        _opening(summary, comparison_list),
        comparison_list,
        failures,
        _dataset_rows(summary, provenance),
        _provenance_text(provenance),
    )


def _opening(summary: BenchmarkSummary, comparison_list: Sequence[BaselineComparison]) -> str:
    methods = {line.method for table in summary.tables for line in table.lines}
    baselines = [name for name in methods if summary.kinds.get(name) == "baseline"]
    text = (
        f"{len(methods)} methods, {len(baselines)} of them baselines, on the same cells: a seed draws the same four fifths "
        "of a data set for all methods. Scores are means over data sets; intervals (±, bars, bands) are 95 % intervals of "
        "Student's t over seeds, and differences are paired by seed."
    )
    if not comparison_list:
        return text
    counts = {
        name: sum(comparison.outcome == name for comparison in comparison_list)
        for name in ("ahead", "level", "behind", "open")
    }
    phrases = {
        "ahead": "on {n} okrcell is ahead of the best baseline",
        "level": "on {n} the interval of the difference contains 0",
        "behind": "on {n} a baseline is better",
        "open": "on {n} there is one seed and no interval",
    }
    clauses = [phrases[name].format(n=count) for name, count in counts.items() if count]
    noun = "comparison" if len(comparison_list) == 1 else "comparisons"
    return f"{text} Of {len(comparison_list)} {noun} below, {'; '.join(clauses)}."


def _dataset_rows(summary: BenchmarkSummary, provenance: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    n_cells: dict[str, int] = {}
    for table in summary.tables:
        for name, count in table.cells.items():
            n_cells[name] = max(n_cells.get(name, 0), count)
    return [
        (card.title, f"{n_cells[name]:,}" if name in n_cells else "part of others", card.source, card.licence)
        for name, card in cards().items()
        if name in provenance["sets"]
    ]


def _provenance_text(provenance: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items() if version)
    models = "; ".join(f"{name}: {sha[:12]}" for name, sha in provenance["models"].items())
    text = f"Made {provenance['time']} with Python {provenance['python']}, {versions}."
    if models:
        text += f" Weights (sha256): {models}."
    text += (
        " Every method ran in a process of its own with one thread; seconds are the median of one prediction, embedding "
        "included; GB is the peak memory of the process. runs.jsonl has one line per score; the report is generated from it."
    )
    return text
