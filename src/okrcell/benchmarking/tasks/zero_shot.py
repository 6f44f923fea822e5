"""Task zero_shot: annotate cells with the types of their data set as candidates, without labelled cells."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from okrcell.benchmarking.datasets.datasets import cards, load_dataset
from okrcell.benchmarking.datasets.splits import draw_four_fifths, full_subset
from okrcell.benchmarking.methods import ZeroShotAnnotator, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks.scoring import counts_by_type, score_annotation
from okrcell.benchmarking.tasks.task import Item, ItemResult

FIRST_SETS = ("pbmc3k", "kang_ifnb", "kang_8donors", "segerstolpe", "xin", "wang")
"""The data sets of the first reports, whose mean is reported beside that of all."""
HUMAN_SETS = (
    *FIRST_SETS,
    "grun",
    "ding_pbmc",
    "pbmc_3chem",
    "he2020_liver",
    "puram_hnscc",
    "zilionis_nsclc",
    "prostate_cancer",
)
SETS = (*HUMAN_SETS, "tabula_muris_marrow")
MOUSE = "mouse"
"""Case of the data sets of mouse, which are not part of the mean over data sets."""


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def items(name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one prediction, scored on the cells of every seed."""
    case = MOUSE if cards()[name].species == "mouse" else ""
    return [Item(case, seed) for seed in seeds]


def evaluate(method: ZeroShotAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate all cells with the types of their data set as candidates; seeds select the scored cells."""
    dataset = full_subset(load_dataset(name, data))
    candidates = sorted(set(dataset.term_ids.tolist()) - {""})
    with measure_resources() as usage:
        annotation = method(select_cells(dataset.cells, np.arange(len(dataset))), candidates, 0)
    for item in pending:
        rows = draw_four_fifths(dataset.cells.obs_names, name, item.seed)
        scores, detail = score_annotation(dataset.term_ids, annotation, rows)
        detail["counts_by_type"] = counts_by_type(dataset.term_ids[rows], annotation.label[rows].astype(np.str_))
        yield ItemResult(item, scores, usage, int((dataset.term_ids[rows] != "").sum()), detail)
