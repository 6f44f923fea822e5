"""Aggregate the records of the label-noise benchmark."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from okrcell.benchmarking.intervals import Estimate, estimate
from okrcell.benchmarking.noise.plan import CLEAN, CONTROL, KINDS
from okrcell.benchmarking.noise.reliability import STRATA

MEASURES = ("macro_f1", "accuracy")
Record = Mapping[str, Any]
"""One line of the records."""


@dataclass(frozen=True)
class Scores:
    """Zero-shot scores of the runs of one objective and noise, over seeds."""

    objective: str
    kind: str
    rate: float
    seeds: tuple[int, ...]
    mean: Mapping[str, Estimate | None]
    """Metric to its mean over data sets."""
    by_set: Mapping[str, Mapping[str, Estimate | None]]
    """Data set to metric to estimate."""
    over_control: Mapping[str, Estimate | None]
    """Metric to the paired difference to the control's runs of the same seeds; None without such runs."""


@dataclass(frozen=True)
class Finding:
    """Detection of wrong pairs by low reliability: AUROC over the runs of one objective and noise."""

    objective: str
    kind: str
    rate: float
    symmetry: tuple[Estimate | None, ...]
    """r of each epoch."""
    mean_symmetry: tuple[Estimate | None, ...]
    """Mean r up to each epoch."""
    trust: Estimate | None
    """Last W."""
    strata: Mapping[str, Estimate | None]
    """Last mean r within thirds of the pairs by abundance of their label."""
    wrong: float
    """Fraction of wrong pairs among visited pairs."""
    clean_counts: tuple[tuple[int, ...], ...]
    wrong_counts: tuple[tuple[int, ...], ...]
    """For each epoch, number of clean and of wrong pairs in each bin of r (`EDGES`), summed over seeds."""


@dataclass(frozen=True)
class Cost:
    """Time and memory of an objective; parallel runs share the machine, so times are approximate."""

    objective: str
    runs: int
    seconds_per_step: float | None
    """Median over runs of the median step time."""
    over_control: float | None
    """Ratio of ``seconds_per_step`` to that of the control."""
    peak_memory: int | None
    """Peak memory of a process during training in bytes, maximum over runs."""


@dataclass(frozen=True)
class Summary:
    """All scores, detections and costs of the benchmark."""

    scores: tuple[Scores, ...]
    findings: tuple[Finding, ...]
    costs: tuple[Cost, ...]

    def score(self, objective: str, kind: str, rate: float) -> Scores | None:
        """Return the scores of an objective and noise, None without runs; at rate 0 the kind is ignored."""
        kind = kind if rate > 0 else CLEAN
        return next(
            (one for one in self.scores if (one.objective, one.kind, one.rate) == (objective, kind, rate)), None
        )

    @property
    def objectives(self) -> list[str]:
        """All objectives, in the order of their first runs."""
        return list(dict.fromkeys(one.objective for one in self.scores))

    @property
    def kinds(self) -> list[str]:
        """All kinds of noise, in the order of `KINDS`."""
        there = {one.kind for one in self.scores}
        return [kind for kind in KINDS if kind in there]

    @property
    def rates(self) -> list[float]:
        """All rates, ascending."""
        return sorted({one.rate for one in self.scores})


def summarised(records: Sequence[Record]) -> Summary:
    """Aggregate the records."""
    kinds = (CLEAN, *KINDS)
    ordered = sorted(records, key=lambda record: (kinds.index(record["kind"]), record["rate"], record["seed"]))
    groups = _grouped(ordered, lambda record: (record["objective"], record["kind"], record["rate"]))
    control = {
        (record["kind"], record["rate"], record["seed"]): record for record in ordered if record["objective"] == CONTROL
    }
    order = list(dict.fromkeys(record["objective"] for record in records))
    scores = [_scores(key, some, control) for key, some in groups.items()]
    findings = [
        _finding(key, known) for key, some in groups.items() if (known := [one for one in some if one["reliability"]])
    ]
    return Summary(
        tuple(sorted(scores, key=lambda one: order.index(one.objective))),
        tuple(sorted(findings, key=lambda one: order.index(one.objective))),
        tuple(_costs(records, order)),
    )


def _scores(key: tuple[str, str, float], some: Sequence[Record], control: Mapping[Any, Record]) -> Scores:
    sets: dict[str, dict[str, Estimate | None]] = {
        name: {
            measure: estimate([one[measure] for record in some for one in record["sets"] if one["set"] == name])
            for measure in MEASURES
        }
        for name in dict.fromkeys(one["set"] for record in some for one in record["sets"])
    }
    pairs = [
        (record, control[place])
        for record in some
        if (place := (record["kind"], record["rate"], record["seed"])) in control and record["objective"] != CONTROL
    ]
    return Scores(
        *key,
        seeds=tuple(record["seed"] for record in some),
        mean={measure: estimate([record[measure] for record in some]) for measure in MEASURES},
        by_set=sets,
        over_control={
            measure: estimate([one[measure] - other[measure] for one, other in pairs]) for measure in MEASURES
        },
    )


def _finding(key: tuple[str, str, float], some: Sequence[Record]) -> Finding:
    told = [record["reliability"] for record in some]
    epochs = min(len(one["clean"]) for one in told)
    wrong, pairs = sum(one["wrong"] for one in told), sum(one["pairs"] for one in told)
    return Finding(
        *key,
        symmetry=tuple(estimate([one["auroc"]["symmetry"][epoch] for one in told]) for epoch in range(epochs)),
        mean_symmetry=tuple(
            estimate([one["auroc"]["mean_symmetry"][epoch] for one in told]) for epoch in range(epochs)
        ),
        trust=estimate([one["auroc"]["trust"] for one in told]),
        strata={name: estimate([one["auroc"]["strata"][name] for one in told]) for name in STRATA},
        wrong=wrong / max(pairs, 1),
        clean_counts=_added([one["clean"][:epochs] for one in told]),
        wrong_counts=_added([one["wrong_pairs"][:epochs] for one in told]),
    )


def _added(counts: Sequence[Sequence[Sequence[int]]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in np.sum(np.array(counts), axis=0).tolist())


def _costs(records: Sequence[Record], order: Sequence[str]) -> list[Cost]:
    pace: dict[str, float | None] = {}
    for name in order:
        paces = [one["seconds_per_step"] for one in records if one["objective"] == name and one["seconds_per_step"]]
        pace[name] = float(np.median(paces)) if paces else None
    usual = pace.get(CONTROL)
    costs: list[Cost] = []
    for name in order:
        mine = [record for record in records if record["objective"] == name]
        own = pace[name]
        ratio = own / usual if own and usual else None
        peaks = [record["peak_memory"] for record in mine if record["peak_memory"]]
        costs.append(Cost(name, len(mine), own, ratio, max(peaks, default=None)))
    return costs


def _grouped(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups
