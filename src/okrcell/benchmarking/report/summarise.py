"""Aggregate the records to the summary."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from okrcell.benchmarking.intervals import Estimate, estimate
from okrcell.benchmarking.report.summary import WHOLE, Cost, Failure, Line, Summary, Table
from okrcell.benchmarking.report.words import TASKS

Record = Mapping[str, Any]
"""One line of the records."""


def summarised(records: Sequence[Record], methods: Mapping[str, Mapping[str, str]]) -> Summary:
    """Aggregate the records.

    Parameters
    ----------
    records
        Lines of the records: scores and failures.
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


def _with_losses(records: Sequence[Record]) -> Iterable[Record]:
    """Add ``lost`` to the records of robustness: change of accuracy against the same cells without downsampling."""
    whole = {
        (one["set"], one["method"], one["seed"]): one["scores"]["accuracy"]
        for one in records
        if one["task"] == "robustness" and one["case"] == WHOLE
    }
    for one in records:
        before = whole.get((one["set"], one["method"], one["seed"])) if one["task"] == "robustness" else None
        after = one["scores"].get("accuracy")
        if before is None or after is None:
            yield one
        else:
            yield {**one, "scores": {**one["scores"], "lost": after - before}}


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
        # A seed counts if every data set has a value: otherwise its mean would be over other data sets.
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
    """Mean of each key over the nonempty mappings."""
    there = [one for one in some if one]
    return {name: float(np.mean([one[name] for one in there])) for name in there[0]} if there else {}


def _costs(records: Sequence[Record]) -> Iterable[Cost]:
    by: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        by[record["task"], record["method"]].append(record)
    for (task, method), some in by.items():
        peaks = [one["peak_memory"] for one in some if one["peak_memory"] is not None]
        yield Cost(task, method, statistics.median(one["seconds"] for one in some), max(peaks, default=None))
