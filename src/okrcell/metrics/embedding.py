"""Integration metrics of the paper, by scib-metrics: five of type separation, three of batch mixing."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.errors import MissingExtraError
from okrcell.tasks.clustering import leiden, resolution_stability

RESOLUTIONS = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""Leiden resolutions of the paper's protocol."""
DEFAULT_RESOLUTION = 1.0
"""Scanpy's default resolution."""
N_NEIGHBORS = 15
UNASSIGNED = -1


N_NEIGHBORS_LISI = 90
"""Neighbours of each cell for cLISI, as in the pipeline of scib-metrics."""
N_NEIGHBORS_CONNECTIVITY = 15
"""Nearest of these neighbours that graph connectivity uses, as in the pipeline of scib-metrics."""


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
    """Resolution chosen by stability, without labels (`okrcell.tasks.clustering`)."""


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


@dataclass(frozen=True)
class IntegrationScores:
    """Integration scores, each in [0, 1], higher is better."""

    isolated_labels: float
    kmeans_nmi: float
    kmeans_ari: float
    silhouette_label: float
    clisi: float
    silhouette_batch: float
    graph_connectivity: float
    pcr_comparison: float

    @property
    def average_bio(self) -> float:
        """AvgBIO-B, mean of the five scores of type separation."""
        return float(
            np.mean([self.isolated_labels, self.kmeans_nmi, self.kmeans_ari, self.silhouette_label, self.clisi])
        )

    @property
    def average_batch(self) -> float:
        """AvgBatch, mean of the three scores of batch mixing."""
        return float(np.mean([self.silhouette_batch, self.graph_connectivity, self.pcr_comparison]))


def integration_scores(
    vectors: Float[np.ndarray, "cell dim"],
    unintegrated: Float[np.ndarray, "cell component"],
    truth: NDArray[np.str_],
    batch: NDArray[np.str_],
) -> IntegrationScores:
    """Score an embedding with the functions and defaults of scib-metrics.

    Parameters
    ----------
    vectors
        Integrated embedding. Cells without a vector (NaN) or without a type are left out.
    unintegrated
        Principal components of the same cells before integration, the reference of the PCR comparison.
    truth
        Type of each cell, "" where there is none.
    batch
        Batch of each cell.

    Raises
    ------
    MissingExtraError
        If scib-metrics is not installed.
    """
    try:
        import scib_metrics
        from scib_metrics.nearest_neighbors import NeighborsResults
    except ImportError:
        raise MissingExtraError("scib-metrics", "baselines", "Scoring integration") from None
    from sklearn.neighbors import NearestNeighbors

    scib: Any = scib_metrics
    mask = (truth != "") & ~np.isnan(vectors).any(axis=1)
    # The same dtype and layout for all embeddings, so that JAX reuses compiled functions.
    embedding = np.ascontiguousarray(vectors[mask], dtype=np.float32)
    type_codes = np.unique(truth[mask], return_inverse=True)[1]
    batch_codes = np.unique(batch[mask], return_inverse=True)[1]
    distances, indices = (
        NearestNeighbors(n_neighbors=min(N_NEIGHBORS_LISI, len(embedding))).fit(embedding).kneighbors(embedding)
    )
    neighbors = NeighborsResults(indices=indices, distances=distances)
    kmeans = scib.nmi_ari_cluster_labels_kmeans(embedding, type_codes)
    return IntegrationScores(
        isolated_labels=float(scib.isolated_labels(embedding, type_codes, batch_codes)),
        kmeans_nmi=float(kmeans["nmi"]),
        kmeans_ari=float(kmeans["ari"]),
        silhouette_label=float(scib.silhouette_label(embedding, type_codes)),
        clisi=float(scib.clisi_knn(neighbors, type_codes)),
        silhouette_batch=silhouette_batch(embedding, type_codes, batch_codes),
        graph_connectivity=float(
            scib.graph_connectivity(
                neighbors.subset_neighbors(min(N_NEIGHBORS_CONNECTIVITY, len(embedding))), type_codes
            )
        ),
        pcr_comparison=pcr_comparison(unintegrated[mask], embedding, batch_codes),
    )


def pcr_comparison(
    unintegrated: Float[np.ndarray, "cell component"], vectors: Float[np.ndarray, "cell dim"], batch: NDArray[np.intp]
) -> float:
    """Return the relative decrease of the variance that the batch explains (principal component regression), in [0, 1].

    0 if the batch explains as much as before, or more. scib-metrics clips the score to 0 too, with a warning. That warning
    is ignored here: for an embedding that leaves the batch effect as it was, the score is 0 up to the rounding of float32,
    and the processor decides whether it falls below 0.
    """
    import scib_metrics

    scib: Any = scib_metrics
    # Both sides in the same dtype and layout: rounded differently, an unchanged embedding would not score 0.
    components = np.ascontiguousarray(unintegrated, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PCR comparison score is negative")
        return float(scib.pcr_comparison(components, vectors, batch, categorical=True))


def silhouette_batch(vectors: Float[np.ndarray, "cell dim"], label: NDArray[np.intp], batch: NDArray[np.intp]) -> float:
    """Return 1 - abs(silhouette of the batches), mean over the cells of each type, then over types.

    Equals ``scib_metrics.silhouette_batch``, which JAX compiles again for each type of another size; that took longer than
    all other scores together. Types of a single batch are left out; NaN if no other type is left.
    """
    from sklearn.metrics import silhouette_samples

    by_type: list[float] = []
    for type_code in np.unique(label):
        mask = label == type_code
        if 1 < len(np.unique(batch[mask])) < mask.sum():
            silhouettes: Any = silhouette_samples(vectors[mask], batch[mask])
            by_type.append(float(np.mean(1 - np.abs(silhouettes))))
    return float(np.mean(by_type)) if by_type else float("nan")
