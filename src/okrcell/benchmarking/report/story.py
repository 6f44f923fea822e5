"""What both pages say in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from okrcell.benchmarking.report.summary import Summary
from okrcell.benchmarking.report.verdicts import Verdict, verdicts
from okrcell.benchmarking.report.words import TASKS, set_title
from okrcell.benchmarking.sets.card import cards


@dataclass(frozen=True)
class Story:
    """Sentences, and what they rest on."""

    title: str
    opening: str
    verdicts: Sequence[Verdict]
    failures: Sequence[str]
    sets: Sequence[tuple[str, str, str, str]]
    """Title, cells, source and licence of each file."""
    making: str


def story(summary: Summary, made: Mapping[str, Any], absent: Mapping[str, str]) -> Story:
    """Put in words what the figures say, where a baseline wins as plainly as where we do.

    Parameters
    ----------
    made
        The receipt.
    absent
        Method that was asked for to the reason why it took no part.
    """
    found = verdicts(summary)
    failures = [
        f"{summary.titles.get(one.method, one.method)}, {TASKS[one.task].title}, {set_title(one.set)}: {one.why}"
        for one in summary.failures
    ]
    failures += [f"{name} took no part: {why}" for name, why in absent.items()]
    return Story(
        "The same questions, asked of everyone",
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
        f"{len(methods)} methods, {len(baselines)} of them what others would use, on the same cells: every seed draws the "
        "same four fifths of a set for all. Figures are means over sets; intervals (±, bars, bands) are 95 % intervals of "
        "Student's t over seeds, and differences are taken seed by seed."
    )
    if not found:
        return told
    counts = {name: sum(one.outcome == name for one in found) for name in ("ahead", "level", "behind", "open")}
    words = {
        "ahead": "on {n} okrcell is ahead of the best baseline",
        "level": "on {n} the seeds cannot tell the two apart",
        "behind": "on {n} a baseline wins",
        "open": "on {n} one seed leaves it open",
    }
    parts = [words[name].format(n=number) for name, number in counts.items() if number]
    goals = "goal" if len(found) == 1 else "goals"
    return f"{told} Of {len(found)} {goals} below, {'; '.join(parts)}."


def _sets(summary: Summary, made: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    counted: dict[str, int] = {}
    for table in summary.tables:
        for name, number in table.cells.items():
            counted[name] = max(counted.get(name, 0), number)
    return [
        (card.title, f"{counted[name]:,}" if name in counted else "in parts", card.source, card.licence)
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
        " Every method ran in a process of its own with one thread; seconds are the median of one answer, embedding "
        "included; GB is the most that its process held. One line a score is in runs.jsonl, and all figures are made from it."
    )
    return told
