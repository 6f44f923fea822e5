"""Clustering metrics: NMI, ARI, AMI and silhouette of Leiden clusters against known types."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.tasks.samples.stability import leiden, resolution_stability

RESOLUTIONS = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""Leiden resolutions of the paper's protocol."""
DEFAULT_RESOLUTION = 1.0
"""Scanpy's default resolution."""
N_NEIGHBORS = 15
UNASSIGNED = -1


@dataclass(frozen=True)
class ClusteringAgreement:
    """Agreement of two groupings of the same cells; 1 is complete agreement."""

    nmi: float
    """Normalised mutual information (arithmetic mean of the entropies), in [0, 1]."""
    ari: float
    """Adjusted Rand index; 0 is chance."""
    ami: float
    """Adjusted mutual information; 0 is chance."""


def clustering_agreement(truth: NDArray[np.str_], cluster: NDArray[np.intp]) -> ClusteringAgreement:
    """Compare clusters with types; cells without a type ("") are left out."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

    mask = truth != ""
    true_labels, clusters = truth[mask], cluster[mask]
    return ClusteringAgreement(
        float(normalized_mutual_info_score(true_labels, clusters)),
        float(adjusted_rand_score(true_labels, clusters)),
        float(adjusted_mutual_info_score(true_labels, clusters)),
    )


def average_silhouette(vectors: Float[np.ndarray, "cell dim"], truth: NDArray[np.str_]) -> float:
    """Return the silhouette width of the types, rescaled to [0, 1]: (ASW + 1) / 2.

    NaN with fewer than two types. Cells without a type or without a vector are left out.
    """
    from sklearn.metrics import silhouette_score

    mask = (truth != "") & ~np.isnan(vectors).any(axis=1)
    n_types = len(set(truth[mask].tolist()))
    if not 2 <= n_types < mask.sum():
        return float("nan")
    return (float(silhouette_score(vectors[mask], truth[mask])) + 1) / 2


@dataclass(frozen=True)
class LeidenClusterings:
    """Leiden clusterings of one graph of 15 neighbours, coarse to fine."""

    by_resolution: dict[float, NDArray[np.intp]]
    """Resolution to the cluster of each cell; a cell without a vector has `UNASSIGNED`."""
    stable_resolution: float
    """Resolution chosen by stability, without labels (`okrcell.tasks.samples.stability`)."""


def leiden_clusterings(
    vectors: Float[np.ndarray, "cell dim"], resolutions: tuple[float, ...] = RESOLUTIONS, seed: int = 0
) -> LeidenClusterings:
    """Cluster cells by their vectors at every resolution, with scanpy's neighbour graph and the same Leiden for all methods."""
    import scanpy as sc
    from anndata import AnnData

    mask = ~np.isnan(vectors).any(axis=1)
    groups = {resolution: np.full(len(vectors), UNASSIGNED, dtype=np.intp) for resolution in resolutions}
    if mask.sum() < 3:
        return LeidenClusterings(groups, resolutions[0])
    cells = AnnData(vectors[mask])
    sc.pp.neighbors(cells, n_neighbors=min(N_NEIGHBORS, int(mask.sum()) - 1), use_rep="X", random_state=seed)
    graph = sparse.csr_matrix(cells.obsp["connectivities"], dtype=np.float64)
    for resolution in resolutions:
        groups[resolution][mask] = leiden(graph, resolution, seed)
    return LeidenClusterings(groups, resolution_stability(graph, resolutions, seed=seed).best_resolution)


def best_resolution_by_nmi(truth: NDArray[np.str_], groups: dict[float, NDArray[np.intp]]) -> float:
    """Return the resolution with the highest NMI (paper's protocol); it is chosen with the true types."""
    return max(groups, key=lambda resolution: clustering_agreement(truth, groups[resolution]).nmi)


def average_bio(nmi: float, ari: float, silhouette: float) -> float:
    """Return AvgBIO, the mean of NMI, ARI and silhouette (paper, section 8.1 of docs/method.md)."""
    return (nmi + ari + silhouette) / 3
