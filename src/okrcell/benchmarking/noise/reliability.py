"""Low reliability should point at the wrong pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.scores import auroc

EDGES = tuple(((np.arange(41) / 40) ** 2).tolist())
"""Of the histograms' bins: of one width on the scale of square roots, for much that matters lies near 0."""
STRATA = ("rare", "middling", "common")
"""Thirds of the pairs, by how many pairs carry their label; pairs of one label stay together."""


def reliability_of(path: Path) -> dict[str, Any] | None:
    """Read a run's table of reliability (`Trained.reliability`) and score it against the truth about its pairs.

    Only pairs that were visited count. The wrong pair is what is looked for, and 1 minus its reliability is its score.

    Returns
    -------
    None if nothing in it is known to be wrong, or nothing was recorded. Else ``pairs`` and ``wrong`` (numbers),
    ``auroc`` of ``symmetry`` (r of each epoch, E9), ``mean_symmetry`` (its mean up to each epoch), ``trust`` (the last W,
    E11) and ``strata`` (the last mean symmetry within `STRATA`); ``clean`` and ``wrong_pairs``: for each epoch the numbers of
    pairs in each bin of r (`EDGES`). An AUROC that is not defined is None.
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
    so_far = _mean_so_far(symmetry)
    trust: NDArray[np.float64] = table["trust"].to_numpy(dtype=np.float64)
    last = so_far[:, -1]
    stratum = strata_of(table["cell_type"].astype(str).to_numpy())
    return {
        "pairs": len(table),
        "wrong": int(wrong.sum()),
        "auroc": {
            "symmetry": [_found(wrong, column) for column in symmetry.T],
            "mean_symmetry": [_found(wrong, column) for column in so_far.T],
            "trust": _found(wrong, trust),
            "strata": {
                name: _found(wrong[stratum == number], last[stratum == number]) for number, name in enumerate(STRATA)
            },
        },
        "clean": [_histogram(column[~wrong]) for column in symmetry.T],
        "wrong_pairs": [_histogram(column[wrong]) for column in symmetry.T],
    }


def strata_of(label: NDArray[Any]) -> NDArray[np.intp]:
    """Return for each pair its third by the abundance of its label: 0 rare, 1 middling, 2 common.

    A label goes where the middle one of its pairs lies when pairs are ordered by the abundance of their labels.
    """
    _, code, size = np.unique(label, return_inverse=True, return_counts=True)
    order = np.argsort(size, kind="stable")
    middle = np.empty(len(size))
    middle[order] = np.cumsum(size[order]) - size[order] / 2
    third = np.minimum(middle / max(len(label), 1) * len(STRATA), len(STRATA) - 1).astype(np.intp)
    return third[code]


def _mean_so_far(symmetry: Float[np.ndarray, "pair epoch"]) -> Float[np.ndarray, "pair epoch"]:
    """Mean of the records up to each epoch, NaN before the first."""
    seen = ~np.isnan(symmetry)
    total, number = np.cumsum(np.where(seen, symmetry, 0), axis=1), np.cumsum(seen, axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _found(wrong: NDArray[np.bool_], reliability: NDArray[np.float64]) -> float | None:
    area = auroc(wrong, -reliability)
    return None if np.isnan(area) else area


def _histogram(reliability: NDArray[np.float64]) -> list[int]:
    return np.histogram(reliability[~np.isnan(reliability)], bins=np.array(EDGES))[0].tolist()
