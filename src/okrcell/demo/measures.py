"""Metrics of the demo: predictions against author labels, and search results."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BANDS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Edges of the confidence bins."""


@dataclass(frozen=True)
class Group:
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
class Agreement:
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
    by_label: tuple[Group, ...]
    by_status: tuple[Group, ...]
    by_confidence: tuple[Group, ...]


@dataclass(frozen=True)
class Search:
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


def agreement(
    obs: pd.DataFrame, labels: str, expected: Mapping[str, str], lineages: Mapping[str, str], prefix: str = "okrcell_"
) -> Agreement:
    """Compare the predictions in ``obs`` with the ``expected`` prediction of each author label."""
    truth: Any = obs[labels].astype(str)
    wanted = np.array([expected[label] for label in truth])
    given = obs[f"{prefix}cell_type"].astype(str).to_numpy(dtype=str)
    confidence = obs[f"{prefix}confidence"].to_numpy(dtype=np.float64)
    status = obs[f"{prefix}status"].astype(str).to_numpy(dtype=str)
    right = wanted == given
    family = {expected[label]: lineage for label, lineage in lineages.items()}
    present = [label for label in expected if (truth == label).any()]

    of_label = {label: (truth == label).to_numpy() for label in present}
    by_label = [
        _with_mistakes(_group(label, some, right, confidence), expected[label], given[some])
        for label, some in of_label.items()
    ]
    by_status = [_group(name, status == name, right, confidence) for name in ("confident", "broad", "unknown")]
    bands = np.clip(np.digitize(confidence, BANDS) - 1, 0, len(BANDS) - 2)
    names = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(BANDS)]
    by_confidence = [_group(name, bands == place, right, confidence) for place, name in enumerate(names)]
    return Agreement(
        cells=len(obs),
        right=int(right.sum()),
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean([group.agreement for group in by_label])),
        macro_f1=float(np.mean([_f1(wanted == expected[label], given == expected[label]) for label in present])),
        lineage_accuracy=float(
            np.mean([family.get(one) == family[two] for one, two in zip(given, wanted, strict=True)])
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


def search(obs: pd.DataFrame, labels: str, key: str, sentence: str, hoped_for: tuple[str, ...]) -> Search:
    """Evaluate the cells that match a text best against the expected author labels."""
    truth: Any = obs[labels].astype(str)
    top = int(truth.isin(hoped_for).sum())
    scores = obs[key].to_numpy(dtype=np.float64)
    best = truth.iloc[np.argsort(-scores, kind="stable")[:top]]
    found = best.value_counts()
    return Search(
        sentence=sentence,
        hoped_for=hoped_for,
        top=top,
        hits=int(best.isin(hoped_for).sum()),
        by_chance=top / len(obs),
        found=tuple((str(name), int(number)) for name, number in found.items()),
    )


def _group(name: str, some: NDArray[np.bool_], right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> Group:
    cells = int(some.sum())
    return Group(name, cells, *((float(right[some].mean()), float(confidence[some].mean())) if cells else (0.0, 0.0)))


def _with_mistakes(group: Group, expected: str, given: NDArray[np.str_]) -> Group:
    """Add the most frequent wrong prediction of a label; ``given`` are the predictions of its cells."""
    names, numbers = np.unique(given[given != expected], return_counts=True)
    if not len(names):
        return replace(group, expected=expected)
    most = int(numbers.argmax())
    return replace(group, expected=expected, mistaken_for=str(names[most]), mistakes=int(numbers[most]))


def _f1(wanted: NDArray[np.bool_], given: NDArray[np.bool_]) -> float:
    both = int((wanted & given).sum())
    return 2 * both / max(int(wanted.sum()) + int(given.sum()), 1)
