"""kNN graph of cells, smoothing over it, and a 2D embedding."""

from typing import cast

import numpy as np
from jaxtyping import Float
from scipy import sparse

from okrcell.cells.samples.nearest import nearest

NEIGHBOURS = 15
FEWEST_ON_A_MAP = 10
WHOLE = 2000
"""Number of genes from which data count as whole-transcriptome; fewer genes are a targeted panel."""


def neighbour_graph(
    points: Float[np.ndarray, "cell dim"], neighbours: int = NEIGHBOURS, *, seed: int = 0
) -> sparse.csr_matrix:
    """Symmetric kNN graph (cell, cell): weight 1 for mutual neighbours, 0.5 for one-sided ones.

    With fewer cells than ``neighbours`` all are connected; a single cell has no neighbour.

    Parameters
    ----------
    points
        Finite coordinates, (cell, dim), compared by Euclidean distance.
    neighbours
        Number of neighbours including the cell itself, at least 2.
    seed
        Random seed of the approximate search in samples of more than 50,000 cells (`nearest`).
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
    """Average each cell with the mean of its neighbours, ``rounds`` times; cells without neighbours are unchanged."""
    total = np.asarray(graph.sum(axis=1)).ravel()
    alone = total == 0
    steps = sparse.csr_matrix(sparse.diags(np.divide(1, total, out=np.zeros_like(total), where=~alone)) @ graph)
    steps = cast("sparse.csr_matrix", steps + sparse.diags(alone.astype(total.dtype)))
    for _ in range(rounds):
        values = (values + steps @ values) / 2
    return values


def neighbours_share(genes: int) -> float:
    """Weight of the neighbours in `drawn_to_neighbours`: 0.5; 0.7 for gene panels, where a single cell is less informative.

    Parameters
    ----------
    genes
        Number of measured genes.
    """
    return 0.5 if genes >= WHOLE else 0.7


def drawn_to_neighbours(
    values: Float[np.ndarray, "cell dim"], graph: sparse.csr_matrix, *, share: float = 0.5, rounds: int = 3
) -> Float[np.ndarray, "cell dim"]:
    """Average each cell's values over its neighbours: ``Z <- (1 - share) values + share A Z``, ``rounds`` times.

    Method 11.5, after GRIT (arXiv 2508.04747). A is ``graph`` with rows normalised to sum 1; cells without neighbours are
    unchanged.
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
    """UMAP embedding by scanpy, for plots only; cells with NaN stay NaN. Fewer than 10 cells: first two dimensions."""
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
