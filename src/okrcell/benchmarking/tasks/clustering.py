"""Task clustering: Leiden clusters of an embedding against the author labels."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.splits import seed_subset
from okrcell.benchmarking.methods import EmbeddingMethod, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks.task import Item, ItemResult
from okrcell.metrics.embedding import (
    DEFAULT_RESOLUTION,
    average_bio,
    average_silhouette,
    best_resolution_by_nmi,
    clustering_agreement,
    leiden_clusterings,
)

SETS = ("pbmc3k", "kang_ifnb", "segerstolpe", "xin", "wang")


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one for each seed."""
    return [Item("", seed) for seed in seeds]


def evaluate(method: EmbeddingMethod, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Embed the cells of each seed, cluster the embedding, and compare the clusters with the author labels."""
    dataset = load_dataset(name, data)
    for item in pending:
        subset = seed_subset(dataset, item.seed)
        cells = select_cells(subset.cells, np.arange(len(subset)))
        with measure_resources() as usage:
            vectors = method(cells, None, item.seed)
        clusterings = leiden_clusterings(vectors, seed=item.seed)
        groups = clusterings.by_resolution
        best_resolution = best_resolution_by_nmi(subset.author_labels, groups)
        at_best, at_fixed, at_stable = (
            clustering_agreement(subset.author_labels, groups[resolution])
            for resolution in (best_resolution, DEFAULT_RESOLUTION, clusterings.stable_resolution)
        )
        silhouette = average_silhouette(vectors, subset.author_labels)
        scores = {
            "avg_bio": average_bio(at_best.nmi, at_best.ari, silhouette),
            **asdict(at_best),
            "asw": silhouette,
            "nmi_fixed": at_fixed.nmi,
            "ari_fixed": at_fixed.ari,
            "nmi_stable": at_stable.nmi,
            "ari_stable": at_stable.ari,
        }
        detail = {
            "best_resolution": best_resolution,
            "stable_resolution": clusterings.stable_resolution,
            "nmi": {
                f"{resolution:g}": clustering_agreement(subset.author_labels, group).nmi
                for resolution, group in groups.items()
            },
        }
        yield ItemResult(item, scores, usage, int((subset.author_labels != "").sum()), detail)
