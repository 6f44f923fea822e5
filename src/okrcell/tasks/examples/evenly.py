"""Subsampling of cells balanced over types."""

import numpy as np
from numpy.typing import NDArray


def evenly(cells: NDArray[np.intp], given: NDArray[np.intp], most: int, seed: int) -> NDArray[np.intp]:
    """Subsample at most ``most`` of ``cells``: rare types are kept whole, common types get equal numbers; ascending.

    Parameters
    ----------
    cells
        Indices of the cells to choose from.
    given
        Type index of every cell, indexed by the values of ``cells``.
    most
        Maximum number of cells.
    seed
        Random seed.
    """
    if len(cells) <= most:
        return cells
    shuffled = np.random.default_rng(seed).permutation(cells)
    order = np.argsort(given[shuffled], kind="stable")
    of_type = given[shuffled][order]
    starts = np.flatnonzero(np.r_[True, of_type[1:] != of_type[:-1]])
    # Rank of each cell within its type; low ranks are chosen first.
    place = np.empty(len(shuffled), dtype=np.intp)
    place[order] = np.arange(len(shuffled)) - np.repeat(starts, np.diff(np.r_[starts, len(shuffled)]))
    return np.sort(shuffled[np.argsort(place, kind="stable")[:most]])
