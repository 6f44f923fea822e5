"""Task robustness: zero-shot annotation of downsampled cells."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from anndata import AnnData

from okrcell.benchmarking import spoiling
from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import measured
from okrcell.benchmarking.method import NamesFromWords
from okrcell.benchmarking.questions import zero_shot
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.questions.scoring import scored_names
from okrcell.benchmarking.sets.draws import at_most, four_fifths
from okrcell.benchmarking.sets.known_cells import known_cells

SETS = zero_shot.SETS
CELLS = 1500
"""Maximum number of cells of a data set; all are annotated up to 13 times."""
WHOLE = "as measured"
DROPOUT = {f"dropout {rate:.0%}": rate for rate in (0.1, 0.2, 0.3, 0.4, 0.5)}
PANELS = {f"{genes} genes": genes for genes in (2000, 1000, 500, 200)}
DEPTHS = {f"depth 1/{part}": 1 / part for part in (2, 4, 10)}
CASES: Mapping[str, Callable[[AnnData], AnnData]] = {
    WHOLE: lambda cells: cells,
    **{case: partial(spoiling.dropout, rate=rate, seed=0) for case, rate in DROPOUT.items()},
    **{case: partial(spoiling.panel, genes=genes, seed=0) for case, genes in PANELS.items()},
    **{case: partial(spoiling.shallow, depth=depth, seed=0) for case, depth in DEPTHS.items()},
}
GENES = {"pbmc3k": 32738, "kang_ifnb": 14053, "kang_8donors": 1287, "segerstolpe": 2000, "xin": 980, "wang": 219}
"""Number of genes of each data set; larger panels are left out."""


def sets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def askings(name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: one prediction per downsampling, scored on the cells of every seed."""
    cases = [case for case in CASES if PANELS.get(case, 0) < GENES[name]]
    return [Asking(case, seed) for case in cases for seed in seeds]


def ask(answer: NamesFromWords, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Annotate the cells after each downsampling; it has a fixed seed, so all methods see the same cells."""
    whole = known_cells(name, data)
    known = whole.some(at_most(whole.cells.obs_names, name, CELLS))
    candidates = sorted(set(known.term.tolist()) - {""})
    cells = part(known.cells, np.arange(len(known)))
    for case, spoilt in CASES.items():
        mine = [asking for asking in left if asking.case == case]
        if not mine:
            continue
        shown = spoilt(cells)
        with measured() as took:
            named = answer(shown, candidates, 0)
        for asking in mine:
            rows = four_fifths(known.cells.obs_names, name, asking.seed)
            scores, detail = scored_names(known.term, named, rows)
            yield Outcome(asking, scores, took, int((known.term[rows] != "").sum()), detail)
