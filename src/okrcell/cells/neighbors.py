"""kNN search and graph of cells, smoothing over the graph, and a 2D embedding."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

MAX_EXACT = 50_000
"""Largest number of cells for brute-force search. It takes ten seconds on one core for so many cells; approximate search
takes one second and missed 10 to 20 % of the neighbours. Brute-force time grows quadratically, so larger samples use
approximate search."""
MAX_CHUNK_DISTANCES = 4_000_000
"""Number of distances in memory at a time: 32 MB."""
N_NEIGHBORS = 15
MIN_UMAP_CELLS = 10


@dataclass(frozen=True)
class Neighbors:
    """k nearest neighbours of each cell, nearest first."""

    indices: Int[np.ndarray, "cell other"]
    """Row numbers of the neighbours."""
    distances: Float[np.ndarray, "cell other"]
    """Euclidean distances."""


def knn_search(points: Float[np.ndarray, "cell dim"], n_neighbors: int, seed: int = 0) -> Neighbors:
    """Find the ``n_neighbors`` nearest neighbours of each cell, excluding the cell itself.

    Exact up to 50,000 cells, otherwise by nearest-neighbour descent (Dong et al. 2011, pynndescent).

    Parameters
    ----------
    points
        Finite coordinates, (cell, dim).
    n_neighbors
        Number of neighbours, at least 1 and less than the number of cells.
    seed
        Random seed of the approximate search; the exact search does not use it.
    """
    if len(points) > MAX_EXACT:
        return _approximate_knn(points, n_neighbors, seed)
    return _exact_knn(points, n_neighbors)


def _exact_knn(points: Float[np.ndarray, "cell dim"], n_neighbors: int) -> Neighbors:
    # torch is imported by every verb anyway; scikit-learn takes more than a second to import.
    import torch

    coords = torch.from_numpy(np.asarray(points, dtype=np.float64))
    squared_norms = coords.square().sum(dim=1)
    indices = np.empty((len(points), n_neighbors), dtype=np.intp)
    distances = np.empty((len(points), n_neighbors))
    chunk_size = max(MAX_CHUNK_DISTANCES // len(points), 1)
    for start in range(0, len(points), chunk_size):
        rows = slice(start, start + chunk_size)
        chunk = coords[rows]
        squared = torch.addmm(squared_norms, chunk, coords.T, alpha=-2) + squared_norms[rows, None]
        own = torch.arange(len(chunk))
        squared[own, start + own] = torch.inf
        nearest = squared.topk(n_neighbors, largest=False)
        indices[rows] = nearest.indices.numpy()
        distances[rows] = nearest.values.clamp_min(0).sqrt().numpy()
    return Neighbors(indices, distances)


def _approximate_knn(points: Float[np.ndarray, "cell dim"], n_neighbors: int, seed: int) -> Neighbors:
    from pynndescent import NNDescent

    # One thread, because the result depends on the number of threads.
    search: Any = NNDescent(points, n_neighbors=n_neighbors + 1, random_state=seed, n_jobs=1)
    indices, distances = search.neighbor_graph
    is_dropped = indices == np.arange(len(points))[:, None]
    # A cell with duplicates may be absent from its own list; then the farthest neighbour is dropped.
    is_dropped[~is_dropped.any(axis=1), -1] = True
    shape = (len(points), n_neighbors)
    return Neighbors(indices[~is_dropped].reshape(shape), distances[~is_dropped].reshape(shape))


def knn_graph(
    points: Float[np.ndarray, "cell dim"], n_neighbors: int = N_NEIGHBORS, *, seed: int = 0
) -> sparse.csr_matrix:
    """Symmetric kNN graph (cell, cell): weight 1 for mutual neighbours, 0.5 for one-sided ones.

    With fewer cells than ``n_neighbors`` all are connected; a single cell has no neighbour.

    Parameters
    ----------
    points
        Finite coordinates, (cell, dim), compared by Euclidean distance.
    n_neighbors
        Number of neighbours including the cell itself, at least 2.
    seed
        Random seed of the approximate search in samples of more than 50,000 cells (`knn_search`).
    """
    n_cells = len(points)
    if n_cells < 2:
        return sparse.csr_matrix((n_cells, n_cells), dtype=np.float64)
    indices = knn_search(np.ascontiguousarray(points, dtype=np.float32), min(n_neighbors, n_cells) - 1, seed).indices
    starts = np.arange(0, indices.size + 1, indices.shape[1])
    directed = sparse.csr_matrix((np.ones(indices.size), indices.ravel(), starts), shape=(n_cells, n_cells))
    symmetric = sparse.csr_matrix((directed + directed.T) / 2)
    symmetric.sort_indices()
    return symmetric


def diffuse_over_knn(
    values: Float[np.ndarray, "cell dim"], graph: sparse.csr_matrix, rounds: int
) -> Float[np.ndarray, "cell dim"]:
    """Average each cell with the mean of its neighbours, ``rounds`` times; cells without neighbours are unchanged."""
    transitions = _transition_matrix(graph)
    for _ in range(rounds):
        values = (values + transitions @ values) / 2
    return values


def smooth_over_knn(
    values: Float[np.ndarray, "cell dim"], graph: sparse.csr_matrix, *, weight: float = 0.5, rounds: int = 3
) -> Float[np.ndarray, "cell dim"]:
    """Average each cell's values over its neighbours: ``Z <- (1 - weight) values + weight A Z``, ``rounds`` times.

    Method 11.5, after GRIT (arXiv 2508.04747). A is ``graph`` with rows normalised to sum 1; cells without neighbours are
    unchanged.
    """
    transitions = _transition_matrix(graph)
    smoothed = values
    for _ in range(rounds):
        smoothed = (1 - weight) * values + weight * (transitions @ smoothed)
    return smoothed


def similar_neighbors(
    values: Float[np.ndarray, "cell dim"], graph: sparse.csr_matrix, bandwidth: float = 1.0
) -> sparse.csr_matrix:
    """Reduce the weight of neighbours with other values, and give the rest to the cell itself (ours; a bilateral filter).

    The weight of a neighbour is multiplied by ``exp(- d / (2 bandwidth^2))``, with d the mean squared difference of the values,
    each averaged once with those of its own neighbours. A few cells of a rare type then keep their values, although most of
    their neighbours are of another type.

    Parameters
    ----------
    values
        Finite values, such as standard scores.
    graph
        Symmetric kNN graph; see `knn_graph`.
    bandwidth
        Difference of values at which the weight is 0.61.

    Returns
    -------
    Graph with rows of sum 1, for `smooth_over_knn`.
    """
    averaged = smooth_over_knn(values, graph, rounds=1)
    transitions = sparse.coo_matrix(_transition_matrix(graph))
    difference = np.square(averaged[transitions.row] - averaged[transitions.col]).mean(axis=1)
    weights = transitions.data * np.exp(-difference / (2 * bandwidth**2))
    similar = sparse.csr_matrix((weights, (transitions.row, transitions.col)), shape=transitions.shape)
    return cast("sparse.csr_matrix", similar + sparse.diags(1 - np.asarray(similar.sum(axis=1)).ravel()))


def _transition_matrix(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """Normalise each row to sum 1; a cell without neighbours gets a loop to itself."""
    total = np.asarray(graph.sum(axis=1)).ravel()
    isolated = total == 0
    transitions = sparse.csr_matrix(
        sparse.diags(np.divide(1, total, out=np.zeros_like(total), where=~isolated)) @ graph
    )
    return cast("sparse.csr_matrix", transitions + sparse.diags(isolated.astype(total.dtype)))


def embed_2d(points: Float[np.ndarray, "cell dim"], *, seed: int = 0) -> Float[np.ndarray, "cell 2"]:
    """UMAP embedding by scanpy, for plots only; cells with NaN stay NaN. Fewer than 10 cells: first two dimensions."""
    finite = np.isfinite(points).all(axis=1)
    coords = np.full((len(points), 2), np.nan, dtype=np.float32)
    if finite.sum() < MIN_UMAP_CELLS:
        coords[finite] = np.hstack([points[finite], np.zeros((int(finite.sum()), 1))])[:, :2]
        return coords
    import scanpy as sc
    from anndata import AnnData

    adata = AnnData(sparse.csr_matrix((int(finite.sum()), 1), dtype=np.float32))
    adata.obsm["points"] = np.ascontiguousarray(points[finite], dtype=np.float32)
    sc.pp.neighbors(adata, n_neighbors=min(N_NEIGHBORS, adata.n_obs - 1), use_rep="points", random_state=seed)
    sc.tl.umap(adata, random_state=seed)
    coords[finite] = adata.obsm["X_umap"]
    return coords
