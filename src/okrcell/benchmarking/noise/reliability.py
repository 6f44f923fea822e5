"""Detection of wrong pairs by low reliability: AUROC and histograms of one run."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.scores import auroc

EDGES = tuple(((np.arange(41) / 40) ** 2).tolist())
"""Bin edges of the histograms, equidistant on a square-root scale, for resolution near 0."""
STRATA = ("rare", "middling", "common")
"""Thirds of the pairs by abundance of their label; pairs with the same label are in the same third."""


def score_reliability(path: Path) -> dict[str, Any] | None:
    """Read the reliability table of a run (`PretrainResult.reliability`), and score how well low reliability detects wrong pairs.

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
