"""Task annotation_dropout: annotate cells with dropout from the labelled cells of another study."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from okrcell.benchmarking.datasets import downsampling
from okrcell.benchmarking.datasets.splits import draw_at_most, draw_four_fifths, load_side, transfers
from okrcell.benchmarking.methods import ReferenceAnnotator, select_cells
from okrcell.benchmarking.resources import measure_resources
from okrcell.benchmarking.tasks import annotation, robustness
from okrcell.benchmarking.tasks.scoring import score_annotation
from okrcell.benchmarking.tasks.task import Item, ItemResult

SETS = annotation.SETS
DROPOUT: Mapping[str, float] = {robustness.UNMODIFIED: 0.0, **robustness.DROPOUT}
"""Case to the fraction of the query's entries that are set to zero."""


def datasets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of reference and query."""
    return annotation.datasets_of(name)


def items(_name: str, seeds: Sequence[int]) -> list[Item]:
    """List the items: one prediction per dropout rate, scored on the cells of every seed."""
    return [Item(case, seed) for case in DROPOUT for seed in seeds]


def evaluate(method: ReferenceAnnotator, name: str, data: Path | None, pending: Sequence[Item]) -> Iterator[ItemResult]:
    """Annotate the query after each dropout from the unchanged reference, at most 1,500 cells each.

    The dropout has a fixed seed, so all methods see the same cells. Query cells of types that the reference lacks are
    annotated, but not scored.
    """
    transfer = transfers()[name]
    full_sides = [load_side(side, transfer.types, data) for side in (transfer.reference, transfer.query)]
    reference, query = (
        side.subset(draw_at_most(side.cells.obs_names, side.name, robustness.MAX_CELLS)) for side in full_sides
    )
    reference_cells, query_cells = (select_cells(side.cells, np.arange(len(side))) for side in (reference, query))
    truth = np.where(np.isin(query.term_ids, reference.term_ids), query.term_ids, "")
    for case, rate in DROPOUT.items():
        items_of_case = [item for item in pending if item.case == case]
        if not items_of_case:
            continue
        downsampled = downsampling.dropout(query_cells, rate, seed=0)
        with measure_resources() as usage:
            prediction = method(reference_cells, reference.term_ids, downsampled, 0)
        for item in items_of_case:
            rows = draw_four_fifths(query.cells.obs_names, query.name, item.seed)
            scores, detail = score_annotation(truth, prediction, rows)
            yield ItemResult(item, scores, usage, int((truth[rows] != "").sum()), detail)
