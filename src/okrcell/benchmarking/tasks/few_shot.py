"""Task few_shot: annotate the cells of a sample from one, five or nine examples of each type."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.splits import example_rows, full_subset
from okrcell.benchmarking.methods import Annotation, FewShotAnnotator, select_cells
from okrcell.benchmarking.resources import ResourceUsage, measure_resources
from okrcell.benchmarking.tasks.scoring import score_annotation
from okrcell.benchmarking.tasks.task import Item, ItemResult

SETS = (
    "pbmc3k",
    "kang_ifnb",
    "kang_8donors",
    "segerstolpe",
    "xin",
    "wang",
    "cellmix_10x",
    "cellmix_celseq2_p1",
    "cellmix_celseq2_p2",
    "cellmix_celseq2_p3",
    "cellmix_dropseq",
)
N_EXAMPLES = (1, 5, 9)
"""Examples per type: K of the paper."""
DRAWS_PER_SEED = 2
"""Draws of examples per seed: ten draws with five seeds."""


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: for every K, two draws of examples for each seed."""
    draws = [DRAWS_PER_SEED * seed + offset for seed in seeds for offset in range(DRAWS_PER_SEED)]
    return [Item(f"K = {k}", draw) for k in N_EXAMPLES for draw in draws]


def evaluate(method: FewShotAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate the sample from K labelled cells of each type, and score all other cells."""
    dataset = full_subset(load_dataset(name, data))
    cells = select_cells(dataset.cells, np.arange(len(dataset)))
    in_ontology = bool((dataset.term_ids != "").any())
    for k in N_EXAMPLES:
        items_of_k = [item for item in pending if item.case == f"K = {k}"]
        if not items_of_k:
            continue
        draws: list[NDArray[np.str_]] = []
        for item in items_of_k:
            labels = np.full(len(dataset), "", dtype=dataset.labels.dtype)
            shown_rows = example_rows(dataset, item.seed, k)
            labels[shown_rows] = dataset.labels[shown_rows]
            draws.append(labels)
        with measure_resources() as usage:
            annotations = list(method(cells, draws, items_of_k[0].seed))
        # Time spent once for all draws is divided equally among them.
        draw_usage = ResourceUsage(usage.seconds / len(items_of_k), usage.peak_memory)
        for item, labels, annotation in zip(items_of_k, draws, annotations, strict=True):
            yield _score(item, dataset.labels, labels, annotation, draw_usage, in_ontology=in_ontology)


def _score(
    item: Item,
    truth: NDArray[np.str_],
    example_labels: NDArray[np.str_],
    annotation: Annotation,
    usage: ResourceUsage,
    *,
    in_ontology: bool,
) -> ItemResult:
    # A label with a single cell has no example, so it is not scored.
    scored_truth = np.where((example_labels == "") & np.isin(truth, example_labels[example_labels != ""]), truth, "")
    scores, detail = score_annotation(scored_truth, annotation, in_ontology=in_ontology)
    return ItemResult(item, scores, usage, int((scored_truth != "").sum()), detail)
