"""Task annotation: annotate the cells of one study from the labelled cells of another."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import measured
from okrcell.benchmarking.method import NamesFromReference
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.questions.scoring import scored_names
from okrcell.benchmarking.sets.splits import drawn
from okrcell.benchmarking.sets.transfers import side_of, transfers

SETS = tuple(transfers())


def sets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of reference and query."""
    return transfers()[name].reference.set, transfers()[name].query.set


def title_of(name: str) -> str:
    """Return the title of a transfer in the report."""
    return transfers()[name].title


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: one for each seed."""
    return [Asking("", seed) for seed in seeds]


def ask(answer: NamesFromReference, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Annotate four fifths of the query from four fifths of the reference, and score the predictions.

    Query cells of types that the reference lacks are annotated, but not scored; their number is in the detail ``not_scored``.
    """
    transfer = transfers()[name]
    reference, query = (side_of(side, transfer.types, data) for side in (transfer.reference, transfer.query))
    for asking in left:
        taught, asked = drawn(reference, asking.seed), drawn(query, asking.seed)
        given, cells = (part(some.cells, np.arange(len(some))) for some in (taught, asked))
        with measured() as took:
            named = answer(given, taught.term, cells, asking.seed)
        taken = np.isin(asked.term, taught.term)
        scores, detail = scored_names(np.where(taken, asked.term, ""), named)
        detail |= {"reference_cells": len(taught), "not_scored": int((~taken).sum())}
        yield Outcome(asking, scores, took, int(taken.sum()), detail)
