"""Task open_types: annotate cells with any type of the Cell Ontology, without candidates."""

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
"""Cases: with and without the tissue of the cells. Most files have a tissue, some do not."""
TISSUE = "tissue"
"""Column of obs."""


def sets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: a prediction with and one without the tissue, each scored on the cells of every seed."""
    return [Asking(case, seed) for case in (TOLD, UNTOLD) for seed in seeds]


def ask(answer: NamesOpenly, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Annotate all cells with any Cell Ontology id, and score the relation to the true type in the ontology."""
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
    """Return the most frequent tissue of the cells; None if the file has none."""
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
