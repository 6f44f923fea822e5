"""The figures of a report, and where each is found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from okrcell.benchmarking.intervals import Estimate, estimate
from okrcell.benchmarking.report.words import LESS_IS_BETTER, TASKS

WHOLE = "as measured"
"""The case of robustness that the others are compared with."""


@dataclass(frozen=True)
class Line:
    """One method in one task and case."""

    method: str
    mean: Mapping[str, Estimate | None]
    """Measure to its mean over sets."""
    by_set: Mapping[str, Mapping[str, Estimate | None]]
    by_seed: Mapping[str, Mapping[int, float]] = field(repr=False)
    """Measure to seed to the mean over sets, for differences seed by seed."""
    lacks: tuple[str, ...]
    """Sets without an answer; a method that lacks any is not called the best."""
    by_coverage: Mapping[str, float]
    """Share of the cells, the surest first, to the accuracy among them, mean over sets and seeds; empty where a method gives
    no probabilities on some set."""


@dataclass(frozen=True)
class Table:
    """All methods in one task and case."""

    task: str
    case: str
    sets: tuple[str, ...]
    lines: tuple[Line, ...]
    chance: Mapping[str, float]
    """Measure to what chance gives; empty where that is not known."""
    cells: Mapping[str, int]
    """Set to the cells that were scored, in the first draw."""
    not_scored: Mapping[str, int]
    """Set to its cells of types that could not be known."""

    def line(self, method: str) -> Line | None:
        """Look a method up."""
        return next((line for line in self.lines if line.method == method), None)

    def best(self, measure: str, among: Iterable[str] | None = None) -> Line | None:
        """Return the line with the best mean over all sets; None if no method has one."""
        names = None if among is None else set(among)
        able = [
            (one.mean, line)
            for line in self.lines
            if not line.lacks and (names is None or line.method in names) and (one := line.mean.get(measure))
        ]
        sign = -1 if measure in LESS_IS_BETTER else 1
        return max(able, key=lambda pair: sign * pair[0], default=(0, None))[1]


@dataclass(frozen=True)
class Cost:
    """What a method takes for one answer of a task."""

    task: str
    method: str
    seconds: float
    """Median."""
    peak_memory: int | None
    """Most bytes that the process held."""


@dataclass(frozen=True)
class Failure:
    """What a method has no answer to."""

    task: str
    set: str
    method: str
    why: str


@dataclass(frozen=True)
class Summary:
    """All that the report tells."""

    tables: tuple[Table, ...]
    costs: tuple[Cost, ...]
    failures: tuple[Failure, ...]
    kinds: Mapping[str, str]
    """Method to ours, control or baseline."""
    titles: Mapping[str, str]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that have figures, in the order of the report."""
        there = {table.task for table in self.tables}
        return tuple(task for task in TASKS if task in there)

    def of_task(self, task: str) -> tuple[Table, ...]:
        """Return a table for each case."""
        return tuple(table for table in self.tables if table.task == task)

    def cost(self, task: str, method: str) -> Cost | None:
        """Look up what a method takes."""
        return next((one for one in self.costs if (one.task, one.method) == (task, method)), None)

    def of_kind(self, kind: str) -> list[str]:
        """Return the methods of a kind."""
        return [method for method, one in self.kinds.items() if one == kind]


def difference(one: Line, other: Line, measure: str) -> Estimate | None:
    """Return by how much a line is above another, seed by seed."""
    mine, theirs = one.by_seed.get(measure, {}), other.by_seed.get(measure, {})
    return estimate([mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())])
