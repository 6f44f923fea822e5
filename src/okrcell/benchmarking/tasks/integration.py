"""Task integration: mix batches while types stay separate."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from okrcell.benchmarking.baselines.classical import embed_hvg_pca
from okrcell.benchmarking.datasets.datasets import cards, joined_datasets, load_dataset
from okrcell.benchmarking.datasets.splits import seed_subset
from okrcell.benchmarking.methods import EmbeddingMethod, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks.task import Item, ItemResult
from okrcell.metrics.embedding import integration_scores

SETS = ("cellmix", "kang_8donors", "kang_ifnb", "islets")


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def batch_column(name: str) -> str:
    """Return the batch column of a data set."""
    return joined_datasets()[name].batch if name in joined_datasets() else cards()[name].batch[0]


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one for each seed."""
    return [Item("", seed) for seed in seeds]


def evaluate(method: EmbeddingMethod, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Embed the cells of each seed given their batch, and score batch mixing and type separation."""
    dataset, column = load_dataset(name, data), batch_column(name)
    for item in pending:
        subset = seed_subset(dataset, item.seed)
        batch = subset.batch[column]
        rows = np.arange(len(subset))
        with measure_resources() as usage:
            vectors = method(select_cells(subset.cells, rows, **{column: batch}), column, item.seed)
        unintegrated = embed_hvg_pca(select_cells(subset.cells, rows), None, item.seed)
        integration = integration_scores(vectors, np.nan_to_num(unintegrated), subset.author_labels, batch)
        scores = {"avg_bio": integration.average_bio, "avg_batch": integration.average_batch, **asdict(integration)}
        yield ItemResult(item, scores, usage, int((subset.author_labels != "").sum()))
