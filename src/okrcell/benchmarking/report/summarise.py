"""Aggregate the records to the summary."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from okrcell.metrics.intervals import Estimate, estimate
from okrcell.benchmarking.report.summary import (
    UNMODIFIED_CASE,
    BenchmarkSummary,
    MethodCost,
    MethodFailure,
    MethodScores,
    TaskScores,
)
from okrcell.benchmarking.report.words import TASK_INFO

Record = Mapping[str, Any]
"""One line of the records."""


def summarize(records: Sequence[Record], methods: Mapping[str, Mapping[str, str]]) -> BenchmarkSummary:
    """Aggregate the records.

    Parameters
    ----------
    records
        Lines of the records: scores and failures.
    methods
        Method to its "title" and "kind", in the order of the report.
    """
    score_records = [*_with_changes([record for record in records if "scores" in record])]
    grouped: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in score_records:
        grouped[record["task"], record["case"]].append(record)
    tables = [_task_scores(task, case, group, list(methods)) for (task, case), group in grouped.items()]
    order = list(TASK_INFO)
    tables.sort(key=lambda table: order.index(table.task))
    failures = [
        MethodFailure(entry["task"], entry["set"], entry["method"], entry["failure"])
        for entry in records
        if "failure" in entry
    ]
    return BenchmarkSummary(
        tuple(tables),
        tuple(_method_costs(score_records)),
        tuple(failures),
        {name: entry["kind"] for name, entry in methods.items()},
        {name: entry["title"] for name, entry in methods.items()},
    )


def _with_changes(records: Sequence[Record]) -> Iterable[Record]:
    """Add ``lost`` to the records of robustness: change of accuracy against the same cells without downsampling."""
    unmodified = {
        (record["set"], record["method"], record["seed"]): record["scores"]["accuracy"]
        for record in records
        if record["task"] == "robustness" and record["case"] == UNMODIFIED_CASE
    }
    for record in records:
        accuracy_before = (
            unmodified.get((record["set"], record["method"], record["seed"]))
            if record["task"] == "robustness"
            else None
        )
        accuracy_after = record["scores"].get("accuracy")
        if accuracy_before is None or accuracy_after is None:
            yield record
        else:
            yield {**record, "scores": {**record["scores"], "lost": accuracy_after - accuracy_before}}


def _task_scores(task: str, case: str, records: Sequence[Record], methods: Sequence[str]) -> TaskScores:
    sets = tuple(dict.fromkeys(record["set"] for record in records))
    by_method: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_method[record["method"]].append(record)
    order = [name for name in methods if name in by_method] + [name for name in by_method if name not in methods]
    return TaskScores(
        task,
        case,
        sets,
        tuple(_method_scores(name, by_method[name], sets) for name in order),
        chance=_means([record["detail"].get("chance", {}) for record in records]),
        cells={record["set"]: record["cells"] for record in reversed(records)},
        not_scored={record["set"]: n for record in reversed(records) if (n := record["detail"].get("not_scored", 0))},
    )


def _method_scores(method: str, records: Sequence[Record], sets: Sequence[str]) -> MethodScores:
    measures = list(dict.fromkeys(name for record in records for name in record["scores"]))
    scored_sets = [name for name in sets if any(record["set"] == name for record in records)]
    value = {(entry["set"], entry["seed"], name): score for entry in records for name, score in entry["scores"].items()}
    seeds = sorted({record["seed"] for record in records})
    by_seed: dict[str, dict[int, float]] = {}
    by_set: dict[str, dict[str, Estimate | None]] = {name: {} for name in scored_sets}
    for measure in measures:
        # A seed counts if every data set has a value: otherwise its mean would be over other data sets.
        values_by_seed = {seed: [value.get((name, seed, measure)) for name in scored_sets] for seed in seeds}
        by_seed[measure] = {
            seed: float(np.mean([entry for entry in values if entry is not None]))
            for seed, values in values_by_seed.items()
            if None not in values
        }
        for name in scored_sets:
            by_set[name][measure] = estimate([value.get((name, seed, measure)) for seed in seeds])
    mean = {measure: estimate(list(values.values())) for measure, values in by_seed.items()}
    lacks = tuple(name for name in sets if name not in scored_sets)
    return MethodScores(method, mean, by_set, by_seed, lacks, _mean_coverage(records, scored_sets))


def _mean_coverage(records: Sequence[Record], sets: Sequence[str]) -> dict[str, float]:
    of_sets = [
        _means([record["detail"].get("accuracy_by_coverage", {}) for record in records if record["set"] == name])
        for name in sets
    ]
    return _means(of_sets) if all(of_sets) else {}


def _means(mappings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each key over the nonempty mappings."""
    nonempty = [mapping for mapping in mappings if mapping]
    return {name: float(np.mean([mapping[name] for mapping in nonempty])) for name in nonempty[0]} if nonempty else {}


def _method_costs(records: Sequence[Record]) -> Iterable[MethodCost]:
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record["task"], record["method"]].append(record)
    for (task, method), group in groups.items():
        peaks = [entry["peak_memory"] for entry in group if entry["peak_memory"] is not None]
        yield MethodCost(task, method, statistics.median(entry["seconds"] for entry in group), max(peaks, default=None))
