"""Aggregate the records of the label-noise benchmark."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.noise.plan import CONTROL, KINDS, NO_NOISE
from okrcell.metrics.annotation import auroc
from okrcell.metrics.intervals import Estimate, estimate

EDGES = tuple(((np.arange(41) / 40) ** 2).tolist())
"""Bin edges of the histograms, equidistant on a square-root scale, for resolution near 0."""
STRATA = ("rare", "middling", "common")
"""Thirds of the pairs by abundance of their label; pairs with the same label are in the same third."""


METRICS = ("macro_f1", "accuracy")
Record = Mapping[str, Any]
"""One line of the records."""


def score_reliability(path: Path) -> dict[str, Any] | None:
    """Score how well low reliability detects wrong pairs, in the reliability table of a run (`PretrainResult.reliability`).

    Wrong pairs are the positives of the AUROC, with 1 minus the reliability as score. Pairs that were never visited are left
    out.

    Returns
    -------
    None if the table has no wrong pairs or no visited pairs. Otherwise a dict: ``pairs`` and ``wrong`` (counts); ``auroc`` of
    ``symmetry`` (r of each epoch, E9), ``mean_symmetry`` (mean r up to each epoch), ``trust`` (last W, E11) and ``strata``
    (last mean r within `STRATA`), None where it is not defined; ``clean`` and ``wrong_pairs``: for each epoch the number of
    pairs in each bin of r (`EDGES`).
    """
    table: Any = pd.read_parquet(path)
    if "wrong" not in table or not table["wrong"].to_numpy(dtype=bool).any():
        return None
    table = table[table["visits"] > 0]
    if not len(table):
        return None
    epochs = sorted((name for name in table if name.startswith("epoch_")), key=lambda name: int(name[6:]))
    symmetry: NDArray[np.float64] = table[epochs].to_numpy(dtype=np.float64)
    wrong: NDArray[np.bool_] = table["wrong"].to_numpy(dtype=bool)
    cumulative_mean = _cumulative_mean(symmetry)
    trust: NDArray[np.float64] = table["trust"].to_numpy(dtype=np.float64)
    last_mean = cumulative_mean[:, -1]
    stratum = abundance_strata(table["cell_type"].astype(str).to_numpy())
    return {
        "pairs": len(table),
        "wrong": int(wrong.sum()),
        "auroc": {
            "symmetry": [_detection_auroc(wrong, column) for column in symmetry.T],
            "mean_symmetry": [_detection_auroc(wrong, column) for column in cumulative_mean.T],
            "trust": _detection_auroc(wrong, trust),
            "strata": {
                name: _detection_auroc(wrong[stratum == i], last_mean[stratum == i]) for i, name in enumerate(STRATA)
            },
        },
        "clean": [_histogram(column[~wrong]) for column in symmetry.T],
        "wrong_pairs": [_histogram(column[wrong]) for column in symmetry.T],
    }


def abundance_strata(label: NDArray[Any]) -> NDArray[np.intp]:
    """Return the third of each pair by abundance of its label: 0 rare, 1 middling, 2 common.

    A label belongs to the third that holds the median of its pairs when pairs are sorted by abundance of their labels.
    """
    _, code, size = np.unique(label, return_inverse=True, return_counts=True)
    order = np.argsort(size, kind="stable")
    middle = np.empty(len(size))
    middle[order] = np.cumsum(size[order]) - size[order] / 2
    third = np.minimum(middle / max(len(label), 1) * len(STRATA), len(STRATA) - 1).astype(np.intp)
    return third[code]


def _cumulative_mean(symmetry: Float[np.ndarray, "pair epoch"]) -> Float[np.ndarray, "pair epoch"]:
    """Cumulative mean over epochs, ignoring NaN; NaN before the first value."""
    mask = ~np.isnan(symmetry)
    total, count = np.cumsum(np.where(mask, symmetry, 0), axis=1), np.cumsum(mask, axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _detection_auroc(wrong: NDArray[np.bool_], reliability: NDArray[np.float64]) -> float | None:
    area = auroc(wrong, -reliability)
    return None if np.isnan(area) else area


def _histogram(reliability: NDArray[np.float64]) -> list[int]:
    return np.histogram(reliability[~np.isnan(reliability)], bins=np.array(EDGES))[0].tolist()


@dataclass(frozen=True)
class NoiseScores:
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
class PairDetection:
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
class ObjectiveCost:
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
class NoiseSummary:
    """All scores, detections and costs of the benchmark."""

    scores: tuple[NoiseScores, ...]
    findings: tuple[PairDetection, ...]
    costs: tuple[ObjectiveCost, ...]

    def score(self, objective: str, kind: str, rate: float) -> NoiseScores | None:
        """Return the scores of an objective and noise, None without runs; at rate 0 the kind is ignored."""
        kind = kind if rate > 0 else NO_NOISE
        return next(
            (
                scores
                for scores in self.scores
                if (scores.objective, scores.kind, scores.rate) == (objective, kind, rate)
            ),
            None,
        )

    @property
    def objectives(self) -> list[str]:
        """All objectives, in the order of their first runs."""
        return list(dict.fromkeys(scores.objective for scores in self.scores))

    @property
    def kinds(self) -> list[str]:
        """All kinds of noise, in the order of `KINDS`."""
        available = {scores.kind for scores in self.scores}
        return [kind for kind in KINDS if kind in available]

    @property
    def rates(self) -> list[float]:
        """All rates, ascending."""
        return sorted({scores.rate for scores in self.scores})


def summarize(records: Sequence[Record]) -> NoiseSummary:
    """Aggregate the records."""
    kinds = (NO_NOISE, *KINDS)
    ordered = sorted(records, key=lambda record: (kinds.index(record["kind"]), record["rate"], record["seed"]))
    groups = _group_by(ordered, lambda record: (record["objective"], record["kind"], record["rate"]))
    control = {
        (record["kind"], record["rate"], record["seed"]): record for record in ordered if record["objective"] == CONTROL
    }
    order = list(dict.fromkeys(record["objective"] for record in records))
    scores = [_aggregate_scores(key, group, control) for key, group in groups.items()]
    findings = [
        _aggregate_detection(key, with_reliability)
        for key, group in groups.items()
        if (with_reliability := [entry for entry in group if entry["reliability"]])
    ]
    return NoiseSummary(
        tuple(sorted(scores, key=lambda entry: order.index(entry.objective))),
        tuple(sorted(findings, key=lambda entry: order.index(entry.objective))),
        tuple(_aggregate_costs(records, order)),
    )


def _aggregate_scores(
    key: tuple[str, str, float], records: Sequence[Record], control: Mapping[Any, Record]
) -> NoiseScores:
    sets: dict[str, dict[str, Estimate | None]] = {
        name: {
            measure: estimate(
                [entry[measure] for record in records for entry in record["sets"] if entry["set"] == name]
            )
            for measure in METRICS
        }
        for name in dict.fromkeys(entry["set"] for record in records for entry in record["sets"])
    }
    pairs = [
        (record, control[run_key])
        for record in records
        if (run_key := (record["kind"], record["rate"], record["seed"])) in control and record["objective"] != CONTROL
    ]
    return NoiseScores(
        *key,
        seeds=tuple(record["seed"] for record in records),
        mean={measure: estimate([record[measure] for record in records]) for measure in METRICS},
        by_set=sets,
        over_control={
            measure: estimate([entry[measure] - control_record[measure] for entry, control_record in pairs])
            for measure in METRICS
        },
    )


def _aggregate_detection(key: tuple[str, str, float], records: Sequence[Record]) -> PairDetection:
    reliabilities = [record["reliability"] for record in records]
    epochs = min(len(reliability["clean"]) for reliability in reliabilities)
    wrong, pairs = (
        sum(reliability["wrong"] for reliability in reliabilities),
        sum(reliability["pairs"] for reliability in reliabilities),
    )
    return PairDetection(
        *key,
        symmetry=tuple(
            estimate([reliability["auroc"]["symmetry"][epoch] for reliability in reliabilities])
            for epoch in range(epochs)
        ),
        mean_symmetry=tuple(
            estimate([reliability["auroc"]["mean_symmetry"][epoch] for reliability in reliabilities])
            for epoch in range(epochs)
        ),
        trust=estimate([reliability["auroc"]["trust"] for reliability in reliabilities]),
        strata={
            name: estimate([reliability["auroc"]["strata"][name] for reliability in reliabilities]) for name in STRATA
        },
        wrong=wrong / max(pairs, 1),
        clean_counts=_sum_counts([reliability["clean"][:epochs] for reliability in reliabilities]),
        wrong_counts=_sum_counts([reliability["wrong_pairs"][:epochs] for reliability in reliabilities]),
    )


def _sum_counts(counts: Sequence[Sequence[Sequence[int]]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in np.sum(np.array(counts), axis=0).tolist())


def _aggregate_costs(records: Sequence[Record], order: Sequence[str]) -> list[ObjectiveCost]:
    step_seconds: dict[str, float | None] = {}
    for name in order:
        seconds = [
            entry["seconds_per_step"] for entry in records if entry["objective"] == name and entry["seconds_per_step"]
        ]
        step_seconds[name] = float(np.median(seconds)) if seconds else None
    control_seconds = step_seconds.get(CONTROL)
    costs: list[ObjectiveCost] = []
    for name in order:
        objective_records = [record for record in records if record["objective"] == name]
        objective_seconds = step_seconds[name]
        ratio = objective_seconds / control_seconds if objective_seconds and control_seconds else None
        peaks = [record["peak_memory"] for record in objective_records if record["peak_memory"]]
        costs.append(ObjectiveCost(name, len(objective_records), objective_seconds, ratio, max(peaks, default=None)))
    return costs


def _group_by(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups
