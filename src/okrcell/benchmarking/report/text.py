"""Comparisons of our method with the best baseline, as sentences generated from the scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from okrcell.benchmarking.datasets.datasets import cards
from okrcell.benchmarking.report.over_sets import difference_over_sets
from okrcell.benchmarking.report.summary import (
    LOWER_IS_BETTER,
    METRIC_TITLES,
    TASK_INFO,
    BenchmarkSummary,
    MethodScores,
    TaskScores,
    dataset_title,
    format_case,
    format_difference,
    format_points,
    paired_difference,
)
from okrcell.metrics.intervals import Estimate

OURS_KIND = "ours"


@dataclass(frozen=True)
class BaselineComparison:
    """Comparison of our method with the best baseline on one metric."""

    task: str
    case: str
    measure: str
    ours: str
    best: str
    """Name of the best baseline."""
    difference: Estimate
    """Ours minus the best baseline, paired by seed; above 0 is better for us, unless lower values are better."""
    difference_over_sets: Estimate | None
    """The same, paired by data set, with the interval over data sets; None for a single data set."""
    behind: Mapping[str, tuple[str, float]]
    """Data sets on which a baseline is ahead: data set to (baseline, difference)."""
    sentence: str

    @property
    def outcome(self) -> str:
        """One of ahead, behind, level (the interval contains 0), open (too few seeds for an interval)."""
        if self.difference.low is None:
            return "open"
        if not self.difference.excludes_zero:
            return "level"
        better = (self.difference.mean > 0) != (self.measure in LOWER_IS_BETTER)
        return "ahead" if better else "behind"


def comparisons(summary: BenchmarkSummary) -> list[BaselineComparison]:
    """Compare on the main metrics of every task, if our method and a baseline have scores on all data sets."""
    results: list[BaselineComparison] = []
    for table in summary.tables:
        for measure in TASK_INFO[table.task].main_metrics:
            best = table.best(measure, summary.of_kind("baseline"))
            # One comparison per method: selecting the best of several would be biased.
            for name in summary.of_kind(TASK_INFO[table.task].compared_kind) if best is not None else ():
                ours = table.best(measure, [name])
                if (
                    ours is not None
                    and best is not None
                    and (comparison := _compare(summary, table, measure, ours, best))
                ):
                    results.append(comparison)
    return results


def _compare(
    summary: BenchmarkSummary, table: TaskScores, measure: str, ours: MethodScores, best: MethodScores
) -> BaselineComparison | None:
    delta = paired_difference(ours, best, measure)
    our_value, best_value = ours.mean[measure], best.mean[measure]
    if delta is None or our_value is None or best_value is None:
        return None
    behind = _sets_behind(summary, table, measure, ours)
    between_sets = difference_over_sets(ours, best, measure, table.sets) if len(table.sets) > 1 else None
    comparison = BaselineComparison(
        table.task, table.case, measure, ours.method, best.method, delta, between_sets, behind, ""
    )
    outcome = comparison.outcome
    our_title, best_title = summary.titles[ours.method], summary.titles[best.method]
    scope = "" if len(table.sets) == 1 else f", mean over {len(table.sets)} sets"
    case_text = format_case(table.case)
    text = f"{METRIC_TITLES[measure]}{case_text}{scope}: {our_title} {our_value.mean:.3f}, {best_title} {best_value.mean:.3f}"
    interval = (
        ""
        if delta.low is None or delta.high is None
        else f", {format_points(delta.low)} to {format_points(delta.high)}"
    )
    text += f" ({format_points(delta.mean)} points{interval}). "
    text += {
        "ahead": f"{our_title} is ahead of every baseline.",
        "behind": "The baseline wins.",
        "level": "The interval contains 0.",
        "open": f"With one seed there is no interval; {our_title if delta.mean > 0 else best_title} has the higher figure.",
    }[outcome]
    if behind and len(table.sets) > 1:
        # A baseline is named if it is not the one of the sentence before.
        details: list[str] = []
        for set_name, (baseline, margin) in behind.items():
            title = "" if baseline == best.method else f"{summary.titles[baseline]}, "
            details.append(f"{dataset_title(set_name)} ({title}{format_points(-margin)})")
        text += f" By data set, a baseline is ahead on {len(behind)} of {len(table.sets)}: {'; '.join(details)}."
    if between_sets is not None:
        remark = "" if between_sets.excludes_zero else ", an interval that contains 0"
        text += f" Over data sets: {format_difference(between_sets)} points{remark}."
    return replace(comparison, sentence=text)


def _sets_behind(
    summary: BenchmarkSummary, table: TaskScores, measure: str, ours: MethodScores
) -> dict[str, tuple[str, float]]:
    behind: dict[str, tuple[str, float]] = {}
    sign = -1 if measure in LOWER_IS_BETTER else 1
    for name in table.sets:
        our_value = ours.by_set[name].get(measure) if name in ours.by_set else None
        baselines = [
            (sign * value.mean, line.method)
            for line in table.lines
            if summary.kinds.get(line.method) == "baseline" and (value := line.by_set.get(name, {}).get(measure))
        ]
        if our_value is None or not baselines:
            continue
        best_value, baseline = max(baselines)
        if best_value > sign * our_value.mean:
            behind[name] = (baseline, best_value - sign * our_value.mean)
    return behind


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
        f"{summary.titles.get(failure.method, failure.method)}, {TASK_INFO[failure.task].title}, "
        f"{dataset_title(failure.set)}: {failure.why}"
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
        "Student's t over seeds, and differences are paired by seed. Intervals in brackets are over data sets: they say what "
        "to expect on another study."
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
