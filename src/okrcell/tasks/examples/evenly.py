"""Some cells of many, the rare types whole."""

import numpy as np
from numpy.typing import NDArray


def evenly(cells: NDArray[np.intp], given: NDArray[np.intp], most: int, seed: int) -> NDArray[np.intp]:
    """Choose at most ``most`` of ``cells``: the rarest types whole, the others down to a like number; ascending.

    Parameters
    ----------
    given
        Number of the type of every cell, indexed by what is in ``cells``.
    """
    if len(cells) <= most:
        return cells
    shuffled = np.random.default_rng(seed).permutation(cells)
    order = np.argsort(given[shuffled], kind="stable")
    of_type = given[shuffled][order]
    starts = np.flatnonzero(np.r_[True, of_type[1:] != of_type[:-1]])
    # The how-manieth of its type each cell is: those that come early are taken first.
    place = np.empty(len(shuffled), dtype=np.intp)
    place[order] = np.arange(len(shuffled)) - np.repeat(starts, np.diff(np.r_[starts, len(shuffled)]))
    return np.sort(shuffled[np.argsort(place, kind="stable")[:most]])
