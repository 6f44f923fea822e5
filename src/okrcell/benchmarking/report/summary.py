"""What the records say together."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from okrcell.benchmarking.intervals import Estimate, estimate
from okrcell.benchmarking.report.words import LESS_IS_BETTER, TASKS

Record = Mapping[str, Any]
"""A line of the records."""
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


def summarised(records: Sequence[Record], methods: Mapping[str, Mapping[str, str]]) -> Summary:
    """Put the records together.

    Parameters
    ----------
    methods
        Method to its "title" and "kind", in the order of the report.
    """
    scored = [*_with_losses([record for record in records if "scores" in record])]
    grouped: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in scored:
        grouped[record["task"], record["case"]].append(record)
    tables = [_table(task, case, some, list(methods)) for (task, case), some in grouped.items()]
    order = list(TASKS)
    tables.sort(key=lambda table: order.index(table.task))
    failures = [Failure(one["task"], one["set"], one["method"], one["failure"]) for one in records if "failure" in one]
    return Summary(
        tuple(tables),
        tuple(_costs(scored)),
        tuple(failures),
        {name: one["kind"] for name, one in methods.items()},
        {name: one["title"] for name, one in methods.items()},
    )


def difference(one: Line, other: Line, measure: str) -> Estimate | None:
    """Return by how much a line is above another, seed by seed."""
    mine, theirs = one.by_seed.get(measure, {}), other.by_seed.get(measure, {})
    return estimate([mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())])


def _with_losses(records: Sequence[Record]) -> Iterable[Record]:
    """Add to each line of robustness what accuracy it lost against the same cells as measured."""
    whole = {
        (one["set"], one["method"], one["seed"]): one["scores"]["accuracy"]
        for one in records
        if one["task"] == "robustness" and one["case"] == WHOLE
    }
    for one in records:
        before = whole.get((one["set"], one["method"], one["seed"])) if one["task"] == "robustness" else None
        if before is None:
            yield one
        else:
            yield {**one, "scores": {**one["scores"], "lost": one["scores"]["accuracy"] - before}}


def _table(task: str, case: str, records: Sequence[Record], methods: Sequence[str]) -> Table:
    sets = tuple(dict.fromkeys(record["set"] for record in records))
    by_method: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_method[record["method"]].append(record)
    order = [name for name in methods if name in by_method] + [name for name in by_method if name not in methods]
    return Table(
        task,
        case,
        sets,
        tuple(_line(name, by_method[name], sets) for name in order),
        chance=_means([record["detail"].get("chance", {}) for record in records]),
        cells={record["set"]: record["cells"] for record in reversed(records)},
        not_scored={
            record["set"]: number for record in reversed(records) if (number := record["detail"].get("not_scored", 0))
        },
    )


def _line(method: str, records: Sequence[Record], sets: Sequence[str]) -> Line:
    measures = list(dict.fromkeys(name for record in records for name in record["scores"]))
    mine = [name for name in sets if any(record["set"] == name for record in records)]
    value = {(one["set"], one["seed"], name): score for one in records for name, score in one["scores"].items()}
    seeds = sorted({record["seed"] for record in records})
    by_seed: dict[str, dict[int, float]] = {}
    by_set: dict[str, dict[str, Estimate | None]] = {name: {} for name in mine}
    for measure in measures:
        # A seed counts when every set has its figure: else it would be a mean over other sets.
        whole = {seed: [value.get((name, seed, measure)) for name in mine] for seed in seeds}
        by_seed[measure] = {
            seed: float(np.mean([one for one in some if one is not None]))
            for seed, some in whole.items()
            if None not in some
        }
        for name in mine:
            by_set[name][measure] = estimate([value.get((name, seed, measure)) for seed in seeds])
    mean = {measure: estimate(list(some.values())) for measure, some in by_seed.items()}
    lacks = tuple(name for name in sets if name not in mine)
    return Line(method, mean, by_set, by_seed, lacks, _coverage(records, mine))


def _coverage(records: Sequence[Record], sets: Sequence[str]) -> dict[str, float]:
    of_sets = [
        _means([one["detail"].get("accuracy_by_coverage", {}) for one in records if one["set"] == name])
        for name in sets
    ]
    return _means(of_sets) if all(of_sets) else {}


def _means(some: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each entry over the mappings that have any."""
    there = [one for one in some if one]
    return {name: float(np.mean([one[name] for one in there])) for name in there[0]} if there else {}


def _costs(records: Sequence[Record]) -> Iterable[Cost]:
    by: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        by[record["task"], record["method"]].append(record)
    for (task, method), some in by.items():
        peaks = [one["peak_memory"] for one in some if one["peak_memory"] is not None]
        yield Cost(task, method, statistics.median(one["seconds"] for one in some), max(peaks, default=None))
