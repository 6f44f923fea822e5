"""Means over data sets and differences of methods, with intervals over data sets instead of seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from okrcell.benchmarking.report.summary import TASK_INFO, BenchmarkSummary, MethodScores, TaskScores
from okrcell.benchmarking.tasks.zero_shot import FIRST_SETS
from okrcell.metrics.intervals import Estimate, estimate


@dataclass(frozen=True)
class ScoreOverSets:
    """Score of a method over data sets. Scores of a data set are first averaged over seeds."""

    task: str
    case: str
    measure: str
    method: str
    sets: tuple[str, ...]
    """Data sets of the mean on which the method has a score."""
    mean: Estimate | None
    """Mean over data sets, with Student's t-interval over them."""
    difference: Estimate | None
    """okrcell minus the method, paired by data set; None for okrcell itself."""


def mean_over_sets(scores: MethodScores, measure: str, sets: Sequence[str]) -> Estimate | None:
    """Return the mean of a method's scores over data sets, with the interval over data sets."""
    return estimate(list(_set_means(scores, measure, sets).values()))


def difference_over_sets(
    scores: MethodScores, reference: MethodScores, measure: str, sets: Sequence[str]
) -> Estimate | None:
    """Return the difference of two methods, paired by data set, with the interval over data sets."""
    values, reference_values = (_set_means(line, measure, sets) for line in (scores, reference))
    return estimate([value - reference_values[name] for name, value in values.items() if name in reference_values])


def set_groups(table: TaskScores) -> dict[str, tuple[str, ...]]:
    """Return the groups of data sets that have a mean: title to their names. Empty for a single data set."""
    if len(table.sets) < 2:
        return {}
    groups = {f"all {len(table.sets)} sets": table.sets}
    has_further_sets = set(FIRST_SETS) < set(table.sets)
    return {"first six sets": FIRST_SETS, **groups} if has_further_sets else groups


def compared_method(summary: BenchmarkSummary, table: TaskScores) -> MethodScores | None:
    """Return the scores of okrcell, which the other methods are compared with; None if it has none.

    In the task unseen_types a further checkpoint stands for it.
    """
    names = [*summary.of_kind("ours"), *summary.of_kind(TASK_INFO[table.task].compared_kind)]
    return next((line for name in names if (line := table.line(name))), None)


def scores_over_sets(summary: BenchmarkSummary, table: TaskScores, measure: str) -> Iterator[ScoreOverSets]:
    """Yield the score of each method over each group of data sets."""
    ours = compared_method(summary, table)
    for line in table.lines:
        for sets in set_groups(table).values():
            is_ours = ours is None or line.method == ours.method
            yield ScoreOverSets(
                table.task,
                table.case,
                measure,
                line.method,
                tuple(_set_means(line, measure, sets)),
                mean_over_sets(line, measure, sets),
                None if is_ours or ours is None else difference_over_sets(ours, line, measure, sets),
            )


def _set_means(scores: MethodScores, measure: str, sets: Sequence[str]) -> dict[str, float]:
    means = {name: scores.by_set.get(name, {}).get(measure) for name in sets}
    return {name: value.mean for name, value in means.items() if value is not None}
