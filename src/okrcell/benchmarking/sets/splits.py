"""Draws of cells, verified against a frozen list, so that scores of different versions are of the same cells."""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.sets.draws import at_most, examples, four_fifths
from okrcell.benchmarking.sets.known_cells import KnownCells
from okrcell.errors import InputError


def drawn(known: KnownCells, seed: int) -> KnownCells:
    """Return the four fifths of the cells that a seed draws.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set and seed.
    """
    rows = four_fifths(known.cells.obs_names, known.name, seed)
    _must_be_frozen(known, f"seed {seed}", rows)
    return known.some(rows)


def all_cells(known: KnownCells) -> KnownCells:
    """Return all cells, or a fixed draw if there are more than a draw may have.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set.
    """
    rows = at_most(known.cells.obs_names, known.name)
    _must_be_frozen(known, "all", rows)
    return known.some(rows)


def examples_of(known: KnownCells, draw: int, k: int) -> NDArray[np.intp]:
    """Draw ``k`` few-shot examples of each label among these cells.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set.
    """
    rows = examples(known.cells.obs_names, known.label, known.name, draw, k)
    _must_be_frozen(known, f"K {k} draw {draw}", rows)
    return rows


def digest(known: KnownCells, rows: NDArray[np.intp]) -> str:
    """Return a short digest of a draw: the number of cells, and the start of the sha256 of their names."""
    names = "\n".join(known.cells.obs_names[rows].tolist())
    return f"{len(rows)} {hashlib.sha256(names.encode()).hexdigest()[:16]}"


@cache
def frozen() -> dict[str, dict[str, str]]:
    """Read the frozen list: data set to draw to its `digest`."""
    found: Any = json.loads((files("okrcell.benchmarking.sets") / "splits.json").read_text(encoding="utf-8"))
    return found


def _must_be_frozen(known: KnownCells, draw: str, rows: NDArray[np.intp]) -> None:
    expected = frozen().get(known.name, {}).get(draw)
    if expected is not None and expected != (seen := digest(known, rows)):
        raise InputError(
            f"The draw '{draw}' of the set {known.name} is not the one that was frozen ({seen} instead of {expected}): the "
            "cell names or their order differ from the file of the card; use that file."
        )
