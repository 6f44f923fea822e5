"""Integration metrics of the paper, by scib-metrics: five of type separation, three of batch mixing."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.errors import MissingExtraError

NEIGHBOURS = 90
"""Neighbours of each cell for cLISI; `NEAREST` of them for graph connectivity. Values of scib-metrics' pipeline."""
NEAREST = 15


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
    before: Float[np.ndarray, "cell component"],
    truth: NDArray[np.str_],
    batch: NDArray[np.str_],
) -> IntegrationScores:
    """Score an embedding with the functions and defaults of scib-metrics.

    Parameters
    ----------
    vectors
        Integrated embedding. Cells without a vector (NaN) or without a type are left out.
    before
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
    kept = (truth != "") & ~np.isnan(vectors).any(axis=1)
    # The same dtype and layout for all embeddings, so that JAX reuses compiled functions.
    space = np.ascontiguousarray(vectors[kept], dtype=np.float32)
    label = np.unique(truth[kept], return_inverse=True)[1]
    of_batch = np.unique(batch[kept], return_inverse=True)[1]
    distance, place = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(space))).fit(space).kneighbors(space)
    near = NeighborsResults(indices=place, distances=distance)
    kmeans = scib.nmi_ari_cluster_labels_kmeans(space, label)
    return IntegrationScores(
        isolated_labels=float(scib.isolated_labels(space, label, of_batch)),
        kmeans_nmi=float(kmeans["nmi"]),
        kmeans_ari=float(kmeans["ari"]),
        silhouette_label=float(scib.silhouette_label(space, label)),
        clisi=float(scib.clisi_knn(near, label)),
        silhouette_batch=silhouette_batch(space, label, of_batch),
        graph_connectivity=float(scib.graph_connectivity(near.subset_neighbors(min(NEAREST, len(space))), label)),
        pcr_comparison=pcr_comparison(before[kept], space, of_batch),
    )


def pcr_comparison(
    before: Float[np.ndarray, "cell component"], vectors: Float[np.ndarray, "cell dim"], batch: NDArray[np.intp]
) -> float:
    """Return the relative decrease of the variance that the batch explains (principal component regression), in [0, 1].

    0 if the batch explains as much as before, or more. scib-metrics clips the score to 0 too, with a warning. That warning
    is ignored here: for an embedding that leaves the batch effect as it was, the score is 0 up to the rounding of float32,
    and the processor decides whether it falls below 0.
    """
    import scib_metrics

    scib: Any = scib_metrics
    # Both sides in the same dtype and layout: rounded differently, an unchanged embedding would not score 0.
    components = np.ascontiguousarray(before, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PCR comparison score is negative")
        return float(scib.pcr_comparison(components, vectors, batch, categorical=True))


def silhouette_batch(vectors: Float[np.ndarray, "cell dim"], label: NDArray[np.intp], batch: NDArray[np.intp]) -> float:
    """Return 1 - abs(silhouette of the batches), mean over the cells of each type, then over types.

    Equals ``scib_metrics.silhouette_batch``, which JAX compiles again for each type of another size; that took longer than
    all other scores together. Types of a single batch are left out; NaN if no other type is left.
    """
    from sklearn.metrics import silhouette_samples

    of_type: list[float] = []
    for each in np.unique(label):
        mine = label == each
        if 1 < len(np.unique(batch[mine])) < mine.sum():
            width: Any = silhouette_samples(vectors[mine], batch[mine])
            of_type.append(float(np.mean(1 - np.abs(width))))
    return float(np.mean(of_type)) if of_type else float("nan")
