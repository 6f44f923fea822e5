"""Cells are named out of the whole Cell Ontology: nobody says which types there are."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import measured
from okrcell.benchmarking.method import NamesOpenly
from okrcell.benchmarking.metrics.ontology_distance import ontology_shares
from okrcell.benchmarking.questions import zero_shot
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.questions.scoring import by_type
from okrcell.benchmarking.sets.draws import four_fifths
from okrcell.benchmarking.sets.known_cells import known_cells
from okrcell.benchmarking.sets.splits import all_cells

SETS = zero_shot.SETS
TOLD, UNTOLD = "tissue told", "tissue untold"
"""Most files say where their cells are from, and some do not."""
TISSUE = "tissue"
"""Column of obs."""


def sets_of(name: str) -> tuple[str, ...]:
    """Name what a set is made of: itself."""
    return (name,)


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List what is asked: one answer with the tissue and one without, scored on the cells that each seed draws."""
    return [Asking(case, seed) for case in (TOLD, UNTOLD) for seed in seeds]


def ask(answer: NamesOpenly, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Have all cells named with any Cell Ontology id, and score how far in the ontology the answers are from the truth."""
    known = all_cells(known_cells(name, data))
    cells = part(known.cells, np.arange(len(known)))
    for case in (TOLD, UNTOLD):
        mine = [asking for asking in left if asking.case == case]
        if not mine:
            continue
        tissue = tissue_of(known.facts) if case == TOLD else None
        with measured() as took:
            named = answer(cells, tissue, 0)
        label = named.label.astype(np.str_)
        for asking in mine:
            rows = four_fifths(known.cells.obs_names, name, asking.seed)
            rows = rows[known.term[rows] != ""]
            scores, detail = _scored(known.term[rows], label[rows])
            yield Outcome(asking, scores, took, len(rows), {**detail, "names": len(named.names)})


def tissue_of(facts: pd.DataFrame) -> str | None:
    """Return the word for where most of the cells are from; None where the file does not say."""
    if TISSUE not in facts:
        return None
    counted = Counter(facts[TISSUE].astype(object).fillna("").astype(str).tolist())
    said = [(number, word) for word, number in counted.items() if word not in ("", "unknown")]
    return max(said)[1] if said else None


def _scored(truth: NDArray[np.str_], label: NDArray[np.str_]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    scores = {f"ontology_{kind}": share for kind, share in ontology_shares(truth, label).items()}
    of_types = by_type(truth, label, lambda true, given: ontology_shares(true, given)["within_one_step"])
    scores["within_one_step_of_types"] = float(np.mean(list(of_types.values()))) if of_types else float("nan")
    return scores, {"by_type": of_types}
