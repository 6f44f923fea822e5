"""Which cells are like each other, and what they say together."""

from typing import cast

import numpy as np
from jaxtyping import Float
from scipy import sparse

from okrcell.cells.samples.nearest import nearest

NEIGHBOURS = 15
FEWEST_ON_A_MAP = 10
WHOLE = 2000
"""Fewer genes are a panel."""


def neighbour_graph(
    points: Float[np.ndarray, "cell dim"], neighbours: int = NEIGHBOURS, *, seed: int = 0
) -> sparse.csr_matrix:
    """Join each cell to those nearest to it: symmetric (cell, cell), 1 where both are near to each other, else one half.

    With few cells each is joined to fewer; a cell alone to none. ``seed`` has a say with very many (`nearest`).

    Parameters
    ----------
    points
        Finite; compared by Euclidean distance.
    neighbours
        Of a cell, itself counted, at least 2.
    """
    cells = len(points)
    if cells < 2:
        return sparse.csr_matrix((cells, cells), dtype=np.float64)
    near = nearest(np.ascontiguousarray(points, dtype=np.float32), min(neighbours, cells) - 1, seed).place
    starts = np.arange(0, near.size + 1, near.shape[1])
    one_way = sparse.csr_matrix((np.ones(near.size), near.ravel(), starts), shape=(cells, cells))
    both = sparse.csr_matrix((one_way + one_way.T) / 2)
    both.sort_indices()
    return both


def smoothed(
    values: Float[np.ndarray, "cell dim"], graph: sparse.csr_matrix, rounds: int
) -> Float[np.ndarray, "cell dim"]:
    """Move each cell half the way to the mean of its neighbours, ``rounds`` times; a cell without any stays."""
    total = np.asarray(graph.sum(axis=1)).ravel()
    alone = total == 0
    steps = sparse.csr_matrix(sparse.diags(np.divide(1, total, out=np.zeros_like(total), where=~alone)) @ graph)
    steps = cast("sparse.csr_matrix", steps + sparse.diags(alone.astype(total.dtype)))
    for _ in range(rounds):
        values = (values + steps @ values) / 2
    return values


def neighbours_share(genes: int) -> float:
    """Say how much of a cell's answer is its neighbours': a half; more of a panel, where a cell alone tells less.

    Parameters
    ----------
    genes
        Number of genes measured.
    """
    return 0.5 if genes >= WHOLE else 0.7


def drawn_to_neighbours(
    values: Float[np.ndarray, "cell dim"], graph: sparse.csr_matrix, *, share: float = 0.5, rounds: int = 3
) -> Float[np.ndarray, "cell dim"]:
    """Return ``Z <- (1 - share) values + share A Z``, a few rounds of it: half of what a cell says stays its own.

    Method 11.5, after GRIT (arXiv 2508.04747). A is ``graph`` with rows that sum to 1; a cell without neighbours stays.
    """
    total = np.asarray(graph.sum(axis=1)).ravel()
    alone = total == 0
    step = sparse.csr_matrix(sparse.diags(np.divide(1, total, out=np.zeros_like(total), where=~alone)) @ graph)
    step = cast("sparse.csr_matrix", step + sparse.diags(alone.astype(total.dtype)))
    drawn = values
    for _ in range(rounds):
        drawn = (1 - share) * values + share * (step @ drawn)
    return drawn


def flat_map(points: Float[np.ndarray, "cell dim"], *, seed: int = 0) -> Float[np.ndarray, "cell 2"]:
    """Lay cells out on a plane by their neighbours (UMAP, by scanpy), for pictures only; NaN stays NaN."""
    known = np.isfinite(points).all(axis=1)
    plane = np.full((len(points), 2), np.nan, dtype=np.float32)
    if known.sum() < FEWEST_ON_A_MAP:
        plane[known] = np.hstack([points[known], np.zeros((int(known.sum()), 1))])[:, :2]
        return plane
    import scanpy as sc
    from anndata import AnnData

    held = AnnData(sparse.csr_matrix((int(known.sum()), 1), dtype=np.float32))
    held.obsm["points"] = np.ascontiguousarray(points[known], dtype=np.float32)
    sc.pp.neighbors(held, n_neighbors=min(NEIGHBOURS, held.n_obs - 1), use_rep="points", random_state=seed)
    sc.tl.umap(held, random_state=seed)
    plane[known] = held.obsm["X_umap"]
    return plane
