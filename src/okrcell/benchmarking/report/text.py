"""Comparisons of our method with the best baseline, as sentences generated from the scores."""

from collections.abc import Mapping
from dataclasses import dataclass

from okrcell.metrics.intervals import Estimate
from okrcell.benchmarking.report.summary import BenchmarkSummary, MethodScores, TaskScores, paired_difference
from okrcell.benchmarking.report.words import (
    LOWER_IS_BETTER,
    METRIC_TITLES,
    TASK_INFO,
    dataset_title,
    format_case,
    format_points,
)

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
    comparison = BaselineComparison(table.task, table.case, measure, ours.method, best.method, delta, behind, "")
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
        details = [
            f"{dataset_title(set_name)} ({'' if baseline == best.method else f'{summary.titles[baseline]}, '}{format_points(-margin)})"
            for set_name, (baseline, margin) in behind.items()
        ]
        text += f" By data set, a baseline is ahead on {len(behind)} of {len(table.sets)}: {'; '.join(details)}."
    return BaselineComparison(table.task, table.case, measure, ours.method, best.method, delta, behind, text)


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
