"""Which cells a seed draws: the same ones on every machine, for every method, for ever."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

MOST = 3000
"""Cells of a draw, at most."""
FOUR_FIFTHS = 0.8


def shuffled(names: Iterable[str], key: str) -> NDArray[np.intp]:
    """Return places of the cells in an order that depends on nothing but their names and ``key``.

    Cells are sorted by the sha256 of key and name. Unlike a generator of random numbers this is the same with every version
    of every library, so a list of cells need not be kept to draw them again.
    """
    digests = [hashlib.sha256(f"{key}|{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.intp)


def four_fifths(names: Iterable[str], set_name: str, seed: int, most: int = MOST) -> NDArray[np.intp]:
    """Draw four fifths of the cells, at most ``most``, ascending."""
    order = shuffled(names, f"{set_name}|{seed}")
    return np.sort(order[: min(most, max(int(len(order) * FOUR_FIFTHS), 1))])


def at_most(names: Iterable[str], set_name: str, most: int = MOST) -> NDArray[np.intp]:
    """Take all cells, or so many drawn once and for all; ascending."""
    order = shuffled(names, f"{set_name}|all")
    return np.sort(order[:most])


def examples(names: Iterable[str], label: NDArray[np.str_], set_name: str, draw: int, k: int) -> NDArray[np.intp]:
    """Draw ``k`` cells of every label, fewer where that would be more than half of them; ascending.

    The examples of a small ``k`` are among those of a larger one. A label of a single cell has no example.
    """
    order = shuffled(names, f"{set_name}|few shot|{draw}")
    chosen: list[NDArray[np.intp]] = []
    for word in np.unique(label[label != ""]).tolist():
        mine = order[label[order] == word]
        chosen.append(mine[: min(k, len(mine) // 2)])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.intp)
