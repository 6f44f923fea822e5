"""Task annotation: annotate the cells of one study from the labelled cells of another."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from okrcell.benchmarking.datasets.splits import load_side, seed_subset, transfers
from okrcell.benchmarking.methods import ReferenceAnnotator, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks.scoring import score_annotation
from okrcell.benchmarking.tasks.task import Item, ItemResult

SETS = tuple(transfers())


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of reference and query."""
    return transfers()[name].reference.set, transfers()[name].query.set


def title_of(name: str) -> str:
    """Return the title of a transfer in the report."""
    return transfers()[name].title


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one for each seed."""
    return [Item("", seed) for seed in seeds]


def evaluate(method: ReferenceAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate four fifths of the query from four fifths of the reference, and score the predictions.

    Query cells of types that the reference lacks are annotated, but not scored; their number is in the detail ``not_scored``.
    """
    transfer = transfers()[name]
    reference, query = (load_side(side, transfer.types, data) for side in (transfer.reference, transfer.query))
    for item in pending:
        reference_draw, query_draw = seed_subset(reference, item.seed), seed_subset(query, item.seed)
        reference_cells, query_cells = (
            select_cells(subset.cells, np.arange(len(subset))) for subset in (reference_draw, query_draw)
        )
        with measure_resources() as usage:
            annotation = method(reference_cells, reference_draw.term_ids, query_cells, item.seed)
        is_scored = np.isin(query_draw.term_ids, reference_draw.term_ids)
        scores, detail = score_annotation(np.where(is_scored, query_draw.term_ids, ""), annotation)
        detail |= {"reference_cells": len(reference_draw), "not_scored": int((~is_scored).sum())}
        yield ItemResult(item, scores, usage, int(is_scored.sum()), detail)
