"""Texts of the report, shared by Markdown and HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from okrcell.benchmarking.report.summary import Summary
from okrcell.benchmarking.report.verdicts import Verdict, verdicts
from okrcell.benchmarking.report.words import TASKS, set_title
from okrcell.benchmarking.sets.card import cards


@dataclass(frozen=True)
class Story:
    """Texts of the report."""

    title: str
    opening: str
    verdicts: Sequence[Verdict]
    failures: Sequence[str]
    sets: Sequence[tuple[str, str, str, str]]
    """Title, number of cells, source and licence of each file."""
    making: str


def story(summary: Summary, made: Mapping[str, Any], absent: Mapping[str, str]) -> Story:
    """Generate the texts of the report from the scores.

    Parameters
    ----------
    summary
        Scores of the benchmark.
    made
        Provenance of the benchmark.
    absent
        Method that was selected but not run, to the reason.
    """
    found = verdicts(summary)
    failures = [
        f"{summary.titles.get(one.method, one.method)}, {TASKS[one.task].title}, {set_title(one.set)}: {one.why}"
        for one in summary.failures
    ]
    failures += [f"{name} was not run: {why}" for name, why in absent.items()]
    return Story(
        "Benchmark of okrcell and baseline methods",
        _opening(summary, found),
        found,
        failures,
        _sets(summary, made),
        _making(made),
    )


def _opening(summary: Summary, found: Sequence[Verdict]) -> str:
    methods = {line.method for table in summary.tables for line in table.lines}
    baselines = [name for name in methods if summary.kinds.get(name) == "baseline"]
    told = (
        f"{len(methods)} methods, {len(baselines)} of them baselines, on the same cells: a seed draws the same four fifths "
        "of a data set for all methods. Scores are means over data sets; intervals (±, bars, bands) are 95 % intervals of "
        "Student's t over seeds, and differences are paired by seed."
    )
    if not found:
        return told
    counts = {name: sum(one.outcome == name for one in found) for name in ("ahead", "level", "behind", "open")}
    words = {
        "ahead": "on {n} okrcell is ahead of the best baseline",
        "level": "on {n} the interval of the difference contains 0",
        "behind": "on {n} a baseline is better",
        "open": "on {n} there is one seed and no interval",
    }
    parts = [words[name].format(n=number) for name, number in counts.items() if number]
    goals = "comparison" if len(found) == 1 else "comparisons"
    return f"{told} Of {len(found)} {goals} below, {'; '.join(parts)}."


def _sets(summary: Summary, made: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    counted: dict[str, int] = {}
    for table in summary.tables:
        for name, number in table.cells.items():
            counted[name] = max(counted.get(name, 0), number)
    return [
        (card.title, f"{counted[name]:,}" if name in counted else "part of others", card.source, card.licence)
        for name, card in cards().items()
        if name in made["sets"]
    ]


def _making(made: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items() if version)
    models = "; ".join(f"{name}: {sha[:12]}" for name, sha in made["models"].items())
    told = f"Made {made['time']} with Python {made['python']}, {versions}."
    if models:
        told += f" Weights (sha256): {models}."
    told += (
        " Every method ran in a process of its own with one thread; seconds are the median of one prediction, embedding "
        "included; GB is the peak memory of the process. runs.jsonl has one line per score; the report is generated from it."
    )
    return told
