"""Task few_shot: annotate the cells of a sample from one, five or nine examples of each type."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import Took, measured
from okrcell.benchmarking.method import Named, NamesFromExamples
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.questions.scoring import scored_names
from okrcell.benchmarking.sets.known_cells import known_cells
from okrcell.benchmarking.sets.splits import all_cells, examples_of

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
EXAMPLES = (1, 5, 9)
"""Examples per type: K of the paper."""
DRAWS_OF_A_SEED = 2
"""Draws of examples per seed: ten draws with five seeds."""


def sets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: for every K, two draws of examples for each seed."""
    draws = [DRAWS_OF_A_SEED * seed + more for seed in seeds for more in range(DRAWS_OF_A_SEED)]
    return [Asking(f"K = {k}", draw) for k in EXAMPLES for draw in draws]


def ask(answer: NamesFromExamples, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Annotate the sample from K labelled cells of each type, and score all other cells."""
    known = all_cells(known_cells(name, data))
    cells = part(known.cells, np.arange(len(known)))
    in_ontology = bool((known.term != "").any())
    for k in EXAMPLES:
        mine = [asking for asking in left if asking.case == f"K = {k}"]
        if not mine:
            continue
        draws: list[NDArray[np.str_]] = []
        for asking in mine:
            labels = np.full(len(known), "", dtype=known.label.dtype)
            shown = examples_of(known, asking.seed, k)
            labels[shown] = known.label[shown]
            draws.append(labels)
        with measured() as took:
            answers = list(answer(cells, draws, mine[0].seed))
        # Time spent once for all draws is divided equally among them.
        each = Took(took.seconds / len(mine), took.peak_memory)
        for asking, labels, named in zip(mine, draws, answers, strict=True):
            yield _scored(asking, known.label, labels, named, each, in_ontology=in_ontology)


def _scored(
    asking: Asking, truth: NDArray[np.str_], shown: NDArray[np.str_], named: Named, took: Took, *, in_ontology: bool
) -> Outcome:
    # A label with a single cell has no example, so it is not scored.
    asked = np.where((shown == "") & np.isin(truth, shown[shown != ""]), truth, "")
    scores, detail = scored_names(asked, named, in_ontology=in_ontology)
    return Outcome(asking, scores, took, int((asked != "").sum()), detail)
