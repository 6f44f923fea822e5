"""Subsampling of cells balanced over types."""

import numpy as np
from numpy.typing import NDArray


def balanced_subsample(
    rows: NDArray[np.intp], type_idx: NDArray[np.intp], max_cells: int, seed: int
) -> NDArray[np.intp]:
    """Subsample at most ``max_cells`` of ``rows``: rare types are kept whole, common types get equal numbers; ascending.

    Parameters
    ----------
    rows
        Indices of the cells to choose from.
    type_idx
        Type index of every cell, indexed by the values of ``rows``.
    max_cells
        Maximum number of cells.
    seed
        Random seed.
    """
    if len(rows) <= max_cells:
        return rows
    shuffled = np.random.default_rng(seed).permutation(rows)
    order = np.argsort(type_idx[shuffled], kind="stable")
    sorted_types = type_idx[shuffled][order]
    starts = np.flatnonzero(np.r_[True, sorted_types[1:] != sorted_types[:-1]])
    # Rank of each cell within its type; low ranks are chosen first.
    rank = np.empty(len(shuffled), dtype=np.intp)
    rank[order] = np.arange(len(shuffled)) - np.repeat(starts, np.diff(np.r_[starts, len(shuffled)]))
    return np.sort(shuffled[np.argsort(rank, kind="stable")[:max_cells]])
