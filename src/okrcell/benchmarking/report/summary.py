"""Summary of a benchmark: scores by task, case, method and data set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from okrcell.metrics.intervals import Estimate, estimate
from okrcell.benchmarking.report.words import LOWER_IS_BETTER, TASK_INFO

UNMODIFIED_CASE = "as measured"
"""Case of the task robustness without downsampling, which the others are compared with."""


@dataclass(frozen=True)
class MethodScores:
    """Scores of one method in one task and case."""

    method: str
    mean: Mapping[str, Estimate | None]
    """Metric to its mean over data sets."""
    by_set: Mapping[str, Mapping[str, Estimate | None]]
    by_seed: Mapping[str, Mapping[int, float]] = field(repr=False)
    """Metric to seed to the mean over data sets, for paired differences."""
    lacks: tuple[str, ...]
    """Data sets without scores; a method with any of these is never the best."""
    by_coverage: Mapping[str, float]
    """Fraction of the most confident cells to their accuracy, mean over data sets and seeds; empty if the method reports no
    probabilities on a data set."""


@dataclass(frozen=True)
class TaskScores:
    """Scores of all methods in one task and case."""

    task: str
    case: str
    sets: tuple[str, ...]
    lines: tuple[MethodScores, ...]
    chance: Mapping[str, float]
    """Metric to its chance level; empty if unknown."""
    cells: Mapping[str, int]
    """Data set to number of scored cells in the first draw."""
    not_scored: Mapping[str, int]
    """Data set to number of cells that are not scored, because the reference lacks their type."""

    def line(self, method: str) -> MethodScores | None:
        """Return the scores of a method, None if it has none."""
        return next((line for line in self.lines if line.method == method), None)

    def best(self, measure: str, among: Iterable[str] | None = None) -> MethodScores | None:
        """Return the scores of the method with the best mean over all data sets; None if there is none."""
        names = None if among is None else set(among)
        candidates = [
            (value.mean, line)
            for line in self.lines
            if not line.lacks and (names is None or line.method in names) and (value := line.mean.get(measure))
        ]
        sign = -1 if measure in LOWER_IS_BETTER else 1
        return max(candidates, key=lambda pair: sign * pair[0], default=(0, None))[1]


@dataclass(frozen=True)
class MethodCost:
    """Time and memory of one prediction of a method in a task."""

    task: str
    method: str
    seconds: float
    """Median over predictions."""
    peak_memory: int | None
    """Peak memory of the process in bytes."""


@dataclass(frozen=True)
class MethodFailure:
    """Failure of a method on a task and data set."""

    task: str
    set: str
    method: str
    why: str


@dataclass(frozen=True)
class BenchmarkSummary:
    """All scores, costs and failures of a benchmark."""

    tables: tuple[TaskScores, ...]
    costs: tuple[MethodCost, ...]
    failures: tuple[MethodFailure, ...]
    kinds: Mapping[str, str]
    """Method to ours, control or baseline."""
    titles: Mapping[str, str]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with scores, in the order of the report."""
        available = {table.task for table in self.tables}
        return tuple(task for task in TASK_INFO if task in available)

    def of_task(self, task: str) -> tuple[TaskScores, ...]:
        """Return the tables of a task, one for each case."""
        return tuple(table for table in self.tables if table.task == task)

    def cost(self, task: str, method: str) -> MethodCost | None:
        """Return the cost of a method in a task, None if it is unknown."""
        return next((cost for cost in self.costs if (cost.task, cost.method) == (task, method)), None)

    def of_kind(self, kind: str) -> list[str]:
        """Return the names of the methods of a kind."""
        return [method for method, method_kind in self.kinds.items() if method_kind == kind]


def paired_difference(scores: MethodScores, reference: MethodScores, measure: str) -> Estimate | None:
    """Return the difference of two methods on a metric, paired by seed."""
    values, reference_values = scores.by_seed.get(measure, {}), reference.by_seed.get(measure, {})
    return estimate([values[seed] - reference_values[seed] for seed in sorted(values.keys() & reference_values.keys())])
