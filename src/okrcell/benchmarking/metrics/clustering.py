"""Clustering metrics: NMI, ARI, AMI and silhouette of Leiden clusters against known types."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.tasks.samples.stability import leiden, stability

RESOLUTIONS = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""Leiden resolutions of the paper's protocol."""
FIXED = 1.0
"""Scanpy's default resolution."""
NEIGHBOURS = 15
GROUPS_OF_NOBODY = -1


@dataclass(frozen=True)
class Agreement:
    """Agreement of two groupings of the same cells; 1 is complete agreement."""

    nmi: float
    """Normalised mutual information (arithmetic mean of the entropies), in [0, 1]."""
    ari: float
    """Adjusted Rand index; 0 is chance."""
    ami: float
    """Adjusted mutual information; 0 is chance."""


def agreement(truth: NDArray[np.str_], group: NDArray[np.intp]) -> Agreement:
    """Compare clusters with types; cells without a type ("") are left out."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

    known = truth != ""
    some, other = truth[known], group[known]
    return Agreement(
        float(normalized_mutual_info_score(some, other)),
        float(adjusted_rand_score(some, other)),
        float(adjusted_mutual_info_score(some, other)),
    )


def average_silhouette(vectors: Float[np.ndarray, "cell dim"], truth: NDArray[np.str_]) -> float:
    """Return the silhouette width of the types, rescaled to [0, 1]: (ASW + 1) / 2.

    NaN with fewer than two types. Cells without a type or without a vector are left out.
    """
    from sklearn.metrics import silhouette_score

    known = (truth != "") & ~np.isnan(vectors).any(axis=1)
    types = len(set(truth[known].tolist()))
    if not 2 <= types < known.sum():
        return float("nan")
    return (float(silhouette_score(vectors[known], truth[known])) + 1) / 2


@dataclass(frozen=True)
class Groups:
    """Leiden clusterings of one graph of 15 neighbours, coarse to fine."""

    by_resolution: dict[float, NDArray[np.intp]]
    """Resolution to the cluster of each cell; a cell without a vector has `GROUPS_OF_NOBODY`."""
    stable: float
    """Resolution chosen by stability, without labels (`okrcell.tasks.samples.stability`)."""


def leiden_groups(
    vectors: Float[np.ndarray, "cell dim"], resolutions: tuple[float, ...] = RESOLUTIONS, seed: int = 0
) -> Groups:
    """Cluster cells by their vectors at every resolution, with scanpy's neighbour graph and the same Leiden for all methods."""
    import scanpy as sc
    from anndata import AnnData

    seen = ~np.isnan(vectors).any(axis=1)
    groups = {each: np.full(len(vectors), GROUPS_OF_NOBODY, dtype=np.intp) for each in resolutions}
    if seen.sum() < 3:
        return Groups(groups, resolutions[0])
    cells = AnnData(vectors[seen])
    sc.pp.neighbors(cells, n_neighbors=min(NEIGHBOURS, int(seen.sum()) - 1), use_rep="X", random_state=seed)
    graph = sparse.csr_matrix(cells.obsp["connectivities"], dtype=np.float64)
    for each in resolutions:
        groups[each][seen] = leiden(graph, each, seed)
    return Groups(groups, stability(graph, resolutions, seed=seed).chosen)


def best_by_nmi(truth: NDArray[np.str_], groups: dict[float, NDArray[np.intp]]) -> float:
    """Return the resolution with the highest NMI (paper's protocol); it is chosen with the true types."""
    return max(groups, key=lambda each: agreement(truth, groups[each]).nmi)


def average_bio(nmi: float, ari: float, silhouette: float) -> float:
    """Return AvgBIO, the mean of NMI, ARI and silhouette (paper, section 8.1 of docs/method.md)."""
    return (nmi + ari + silhouette) / 3
