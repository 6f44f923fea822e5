"""How far batches are mixed, with types still apart: the five and three scores of the paper, by scib-metrics."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.errors import MissingExtraError

NEIGHBOURS = 90
"""Of each cell, for cLISI; 15 of them for the graph's connectivity. Those of scib-metrics' own pipeline."""
NEAREST = 15


@dataclass(frozen=True)
class IntegrationScores:
    """Each in [0, 1], the higher the better."""

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
        """Whether types are still apart: AvgBIO-B."""
        return float(
            np.mean([self.isolated_labels, self.kmeans_nmi, self.kmeans_ari, self.silhouette_label, self.clisi])
        )

    @property
    def average_batch(self) -> float:
        """Whether batches are mixed: AvgBatch."""
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
        Cells without a vector (NaN), like those without a type, are left out.
    before
        What PCR compares with: components of the same cells, not integrated.

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
    # Always the same type and layout, so that what is compiled for one embedding serves the next.
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
        pcr_comparison=float(scib.pcr_comparison(before[kept], space, of_batch, categorical=True)),
    )


def silhouette_batch(vectors: Float[np.ndarray, "cell dim"], label: NDArray[np.intp], batch: NDArray[np.intp]) -> float:
    """Return 1 - abs(silhouette of the batches), mean over the cells of each type, then over types.

    The numbers of ``scib_metrics.silhouette_batch``, which is compiled anew for every size of every type: that took longer
    than all other scores together. Types of one batch say nothing; NaN if all are.
    """
    from sklearn.metrics import silhouette_samples

    of_type: list[float] = []
    for each in np.unique(label):
        mine = label == each
        if 1 < len(np.unique(batch[mine])) < mine.sum():
            width: Any = silhouette_samples(vectors[mine], batch[mine])
            of_type.append(float(np.mean(1 - np.abs(width))))
    return float(np.mean(of_type)) if of_type else float("nan")
