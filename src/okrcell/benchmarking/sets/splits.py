"""Draws of cells, verified against a frozen list, so that scores of different versions are of the same cells."""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.sets.draws import draw_at_most, draw_examples, draw_four_fifths
from okrcell.benchmarking.datasets.datasets import LabeledDataset
from okrcell.errors import InputError


def seed_subset(dataset: LabeledDataset, seed: int) -> LabeledDataset:
    """Return the four fifths of the cells that a seed draws.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set and seed.
    """
    rows = draw_four_fifths(dataset.cells.obs_names, dataset.name, seed)
    _check_frozen(dataset, f"seed {seed}", rows)
    return dataset.subset(rows)


def full_subset(dataset: LabeledDataset) -> LabeledDataset:
    """Return all cells, or a fixed draw if there are more than a draw may have.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set.
    """
    rows = draw_at_most(dataset.cells.obs_names, dataset.name)
    _check_frozen(dataset, "all", rows)
    return dataset.subset(rows)


def example_rows(dataset: LabeledDataset, draw: int, k: int) -> NDArray[np.intp]:
    """Draw ``k`` few-shot examples of each label among these cells.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set.
    """
    rows = draw_examples(dataset.cells.obs_names, dataset.labels, dataset.name, draw, k)
    _check_frozen(dataset, f"K {k} draw {draw}", rows)
    return rows


def digest(dataset: LabeledDataset, rows: NDArray[np.intp]) -> str:
    """Return a short digest of a draw: the number of cells, and the start of the sha256 of their names."""
    names = "\n".join(dataset.cells.obs_names[rows].tolist())
    return f"{len(rows)} {hashlib.sha256(names.encode()).hexdigest()[:16]}"


@cache
def frozen_digests() -> dict[str, dict[str, str]]:
    """Read the frozen list: data set to draw to its `digest`."""
    digests: Any = json.loads((files("okrcell.benchmarking.sets") / "splits.json").read_text(encoding="utf-8"))
    return digests


def _check_frozen(dataset: LabeledDataset, draw: str, rows: NDArray[np.intp]) -> None:
    expected = frozen_digests().get(dataset.name, {}).get(draw)
    if expected is not None and expected != (actual := digest(dataset, rows)):
        raise InputError(
            f"The draw '{draw}' of the set {dataset.name} is not the one that was frozen ({actual} instead of {expected}): the "
            "cell names or their order differ from the file of the card; use that file."
        )
