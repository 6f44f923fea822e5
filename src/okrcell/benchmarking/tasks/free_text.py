"""Task free_text: annotate cells by one text of each candidate type, in several wordings."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.splits import draw_four_fifths, full_subset
from okrcell.benchmarking.datasets.wordings import WORDINGS, type_texts
from okrcell.benchmarking.methods import FreeTextAnnotator, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks import zero_shot
from okrcell.benchmarking.tasks.scoring import score_annotation
from okrcell.benchmarking.tasks.task import Item, ItemResult

SETS = zero_shot.HUMAN_SETS


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one prediction per wording, scored on the cells of every seed."""
    return [Item(wording, seed) for wording in WORDINGS for seed in seeds]


def evaluate(method: FreeTextAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate all cells by a text of each type of their data set, once per wording; seeds select the scored cells."""
    dataset = full_subset(load_dataset(name, data))
    term_ids = sorted(set(dataset.term_ids.tolist()) - {""})
    cells = select_cells(dataset.cells, np.arange(len(dataset)))
    for wording in WORDINGS:
        items_of_wording = [item for item in pending if item.case == wording]
        if not items_of_wording:
            continue
        texts = type_texts(term_ids, wording)
        with measure_resources() as usage:
            annotation = method(cells, texts, 0)
        term_of_text = dict(zip(texts, term_ids, strict=True)) | {"": ""}
        label = np.array([term_of_text[text] for text in annotation.label.tolist()], dtype=np.str_)
        by_id = replace(annotation, label=label, names=tuple(term_of_text[text] for text in annotation.names))
        for item in items_of_wording:
            rows = draw_four_fifths(dataset.cells.obs_names, name, item.seed)
            scores, detail = score_annotation(dataset.term_ids, by_id, rows)
            yield ItemResult(item, scores, usage, int((dataset.term_ids[rows] != "").sum()), detail)
