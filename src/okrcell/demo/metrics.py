"""Metrics of the demo: predictions against author labels, and search results."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CONFIDENCE_BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Edges of the confidence bins."""


@dataclass(frozen=True)
class GroupMetrics:
    """Accuracy and confidence of a group of cells."""

    name: str
    cells: int
    agreement: float
    """Fraction of the cells with the expected prediction, in [0, 1]."""
    confidence: float
    """Mean confidence of the cells, in [0, 1]."""
    expected: str = ""
    """Candidate text of the label, "" if the group is not a label."""
    mistaken_for: str = ""
    """Most frequent wrong prediction, "" if there is none."""
    mistakes: int = 0
    """Number of cells with that prediction."""


@dataclass(frozen=True)
class AgreementMetrics:
    """Metrics of a run, as fractions in [0, 1]; every cell counts, whatever its status."""

    cells: int
    right: int
    accuracy: float
    balanced_accuracy: float
    """Mean recall over labels, each with the same weight."""
    macro_f1: float
    lineage_accuracy: float
    """Fraction of cells whose prediction belongs to the correct lineage."""
    commonest: float
    """Accuracy of always predicting the most frequent label."""
    mean_confidence: float
    calibration_error: float
    """Expected calibration error over five bins of confidence."""
    by_label: tuple[GroupMetrics, ...]
    by_status: tuple[GroupMetrics, ...]
    by_confidence: tuple[GroupMetrics, ...]


@dataclass(frozen=True)
class SearchMetrics:
    """Result of a search by text."""

    sentence: str
    hoped_for: tuple[str, ...]
    top: int
    """Number of best matching cells that are evaluated: as many as have an expected label."""
    hits: int
    """Number of those cells that have an expected label."""
    by_chance: float
    """Fraction of all cells that have an expected label: the precision of a random ranking."""
    found: tuple[tuple[str, int], ...]
    """Author labels of those cells with their counts, in descending order."""


def agreement_metrics(
    obs: pd.DataFrame,
    label_key: str,
    expected: Mapping[str, str],
    lineages: Mapping[str, str],
    prefix: str = "okrcell_",
) -> AgreementMetrics:
    """Compare the predictions in ``obs`` with the ``expected`` prediction of each author label."""
    truth: Any = obs[label_key].astype(str)
    targets = np.array([expected[label] for label in truth])
    predictions = obs[f"{prefix}cell_type"].astype(str).to_numpy(dtype=str)
    confidence = obs[f"{prefix}confidence"].to_numpy(dtype=np.float64)
    status = obs[f"{prefix}status"].astype(str).to_numpy(dtype=str)
    correct = targets == predictions
    lineage_of = {expected[label]: lineage for label, lineage in lineages.items()}
    present_labels = [label for label in expected if (truth == label).any()]

    masks = {label: (truth == label).to_numpy() for label in present_labels}
    by_label = [
        _add_most_frequent_error(_group_metrics(label, mask, correct, confidence), expected[label], predictions[mask])
        for label, mask in masks.items()
    ]
    by_status = [
        _group_metrics(name, status == name, correct, confidence) for name in ("confident", "broad", "unknown")
    ]
    bin_idx = np.clip(np.digitize(confidence, CONFIDENCE_BINS) - 1, 0, len(CONFIDENCE_BINS) - 2)
    bin_names = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(CONFIDENCE_BINS)]
    by_confidence = [_group_metrics(name, bin_idx == i, correct, confidence) for i, name in enumerate(bin_names)]
    return AgreementMetrics(
        cells=len(obs),
        right=int(correct.sum()),
        accuracy=float(correct.mean()),
        balanced_accuracy=float(np.mean([group.agreement for group in by_label])),
        macro_f1=float(
            np.mean([_f1(targets == expected[label], predictions == expected[label]) for label in present_labels])
        ),
        lineage_accuracy=float(
            np.mean(
                [
                    lineage_of.get(prediction) == lineage_of[target]
                    for prediction, target in zip(predictions, targets, strict=True)
                ]
            )
        ),
        commonest=float(truth.value_counts(normalize=True).iloc[0]),
        mean_confidence=float(confidence.mean()),
        calibration_error=sum(
            group.cells / len(obs) * abs(group.confidence - group.agreement) for group in by_confidence if group.cells
        ),
        by_label=tuple(by_label),
        by_status=tuple(group for group in by_status if group.cells),
        by_confidence=tuple(group for group in by_confidence if group.cells),
    )


def search_metrics(
    obs: pd.DataFrame, label_key: str, key: str, sentence: str, expected_labels: tuple[str, ...]
) -> SearchMetrics:
    """Evaluate the cells that match a text best against the expected author labels."""
    truth: Any = obs[label_key].astype(str)
    top = int(truth.isin(expected_labels).sum())
    scores = obs[key].to_numpy(dtype=np.float64)
    top_labels = truth.iloc[np.argsort(-scores, kind="stable")[:top]]
    counts = top_labels.value_counts()
    return SearchMetrics(
        sentence=sentence,
        hoped_for=expected_labels,
        top=top,
        hits=int(top_labels.isin(expected_labels).sum()),
        by_chance=top / len(obs),
        found=tuple((str(name), int(count)) for name, count in counts.items()),
    )


def _group_metrics(
    name: str, mask: NDArray[np.bool_], correct: NDArray[np.bool_], confidence: NDArray[np.float64]
) -> GroupMetrics:
    n_cells = int(mask.sum())
    return GroupMetrics(
        name, n_cells, *((float(correct[mask].mean()), float(confidence[mask].mean())) if n_cells else (0.0, 0.0))
    )


def _add_most_frequent_error(group: GroupMetrics, expected: str, predictions: NDArray[np.str_]) -> GroupMetrics:
    """Add the most frequent wrong prediction of a label; ``predictions`` are the predictions of its cells."""
    errors, counts = np.unique(predictions[predictions != expected], return_counts=True)
    if not len(errors):
        return replace(group, expected=expected)
    idx = int(counts.argmax())
    return replace(group, expected=expected, mistaken_for=str(errors[idx]), mistakes=int(counts[idx]))


def _f1(is_expected: NDArray[np.bool_], is_predicted: NDArray[np.bool_]) -> float:
    true_positives = int((is_expected & is_predicted).sum())
    return 2 * true_positives / max(int(is_expected.sum()) + int(is_predicted.sum()), 1)
