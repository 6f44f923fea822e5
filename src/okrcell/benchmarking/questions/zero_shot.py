"""Task zero_shot: annotate cells with the types of their data set as candidates, without labelled cells."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import measured
from okrcell.benchmarking.method import NamesFromWords
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.questions.scoring import scored_names
from okrcell.benchmarking.sets.draws import four_fifths
from okrcell.benchmarking.sets.known_cells import known_cells
from okrcell.benchmarking.sets.splits import all_cells

SETS = ("pbmc3k", "kang_ifnb", "kang_8donors", "segerstolpe", "xin", "wang")


def sets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: one prediction, scored on the cells of every seed."""
    return [Asking("", seed) for seed in seeds]


def ask(answer: NamesFromWords, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Annotate all cells with the types of their data set as candidates; seeds select the scored cells."""
    known = all_cells(known_cells(name, data))
    candidates = sorted(set(known.term.tolist()) - {""})
    with measured() as took:
        named = answer(part(known.cells, np.arange(len(known))), candidates, 0)
    for asking in left:
        rows = four_fifths(known.cells.obs_names, name, asking.seed)
        scores, detail = scored_names(known.term, named, rows)
        yield Outcome(asking, scores, took, int((known.term[rows] != "").sum()), detail)
