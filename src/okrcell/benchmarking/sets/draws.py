"""Reproducible subsets of cells: the same for every machine, method and library version."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

MOST = 3000
"""Maximum number of cells of a draw."""
FOUR_FIFTHS = 0.8


def shuffled(names: Iterable[str], key: str) -> NDArray[np.intp]:
    """Return the indices of the cells in a random order that depends only on their names and ``key``.

    Cells are sorted by the sha256 of key and name. Unlike the output of a random number generator, the order does not change
    with library versions, so it can be reproduced without storing it.
    """
    digests = [hashlib.sha256(f"{key}|{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.intp)


def four_fifths(names: Iterable[str], set_name: str, seed: int, most: int = MOST) -> NDArray[np.intp]:
    """Draw four fifths of the cells, at most ``most``; indices ascend."""
    order = shuffled(names, f"{set_name}|{seed}")
    return np.sort(order[: min(most, max(int(len(order) * FOUR_FIFTHS), 1))])


def at_most(names: Iterable[str], set_name: str, most: int = MOST) -> NDArray[np.intp]:
    """Return all cells, or a fixed draw of ``most`` cells if there are more; indices ascend."""
    order = shuffled(names, f"{set_name}|all")
    return np.sort(order[:most])


def examples(names: Iterable[str], label: NDArray[np.str_], set_name: str, draw: int, k: int) -> NDArray[np.intp]:
    """Draw ``k`` cells of every label, at most half of its cells; indices ascend.

    The examples of a smaller ``k`` are a subset of those of a larger one. A label with a single cell has no example.
    """
    order = shuffled(names, f"{set_name}|few shot|{draw}")
    chosen: list[NDArray[np.intp]] = []
    for word in np.unique(label[label != ""]).tolist():
        mine = order[label[order] == word]
        chosen.append(mine[: min(k, len(mine) // 2)])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.intp)
