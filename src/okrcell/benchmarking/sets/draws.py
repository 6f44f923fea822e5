"""Reproducible subsets of cells: the same for every machine, method and library version."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

MAX_CELLS = 3000
"""Maximum number of cells of a draw."""
SEED_FRACTION = 0.8


def hash_order(names: Iterable[str], key: str) -> NDArray[np.intp]:
    """Return the indices of the cells in a random order that depends only on their names and ``key``.

    Cells are sorted by the sha256 of key and name. Unlike the output of a random number generator, the order does not change
    with library versions, so it can be reproduced without storing it.
    """
    digests = [hashlib.sha256(f"{key}|{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.intp)


def draw_four_fifths(names: Iterable[str], set_name: str, seed: int, max_cells: int = MAX_CELLS) -> NDArray[np.intp]:
    """Draw four fifths of the cells, at most ``max_cells``; indices ascend."""
    order = hash_order(names, f"{set_name}|{seed}")
    return np.sort(order[: min(max_cells, max(int(len(order) * SEED_FRACTION), 1))])


def draw_at_most(names: Iterable[str], set_name: str, max_cells: int = MAX_CELLS) -> NDArray[np.intp]:
    """Return all cells, or a fixed draw of ``max_cells`` cells if there are more; indices ascend."""
    order = hash_order(names, f"{set_name}|all")
    return np.sort(order[:max_cells])


def draw_examples(names: Iterable[str], label: NDArray[np.str_], set_name: str, draw: int, k: int) -> NDArray[np.intp]:
    """Draw ``k`` cells of every label, at most half of its cells; indices ascend.

    The examples of a smaller ``k`` are a subset of those of a larger one. A label with a single cell has no example.
    """
    order = hash_order(names, f"{set_name}|few shot|{draw}")
    rows: list[NDArray[np.intp]] = []
    for name in np.unique(label[label != ""]).tolist():
        label_rows = order[label[order] == name]
        rows.append(label_rows[: min(k, len(label_rows) // 2)])
    return np.sort(np.concatenate(rows)) if rows else np.zeros(0, dtype=np.intp)
