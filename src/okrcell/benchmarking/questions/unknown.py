"""Task unknown: detect cells whose true type is missing among the candidates."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import Took, measured
from okrcell.benchmarking.method import NamesFromWords
from okrcell.benchmarking.metrics.rejection import Sure, auroc_of_fitting, ways_to_be_sure
from okrcell.benchmarking.questions import zero_shot
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.sets.draws import four_fifths
from okrcell.benchmarking.sets.known_cells import known_cells
from okrcell.benchmarking.sets.splits import all_cells
from okrcell.knowledge.ontology import ontology

SETS = zero_shot.SETS
FEWEST_CELLS = 10
"""Minimum number of cells of a left-out type; AUROC of fewer is unreliable."""
FEWEST_NAMES = 2
"""Minimum number of remaining candidates."""


def sets_of(name: str) -> tuple[str, ...]:
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: one for each seed; each scores the predictions of all left-out types."""
    return [Asking("", seed) for seed in seeds]


def ask(answer: NamesFromWords, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Annotate all cells once per type of the data set, with that type left out of the candidates.

    The score is the AUROC of the confidence: cells whose type is a candidate against cells of the left-out type. Ancestors and
    descendants of the type are left out of the candidates too, because they would be right; their cells are not scored.
    """
    known = all_cells(known_cells(name, data))
    cells = part(known.cells, np.arange(len(known)))
    answers: dict[str, tuple[list[str], Sure]] = {}
    took = Took()
    for missing, offered in taken_out(known.term).items():
        with measured() as each:
            named = answer(cells, offered, 0)
        answers[missing] = (offered, ways_to_be_sure(named))
        took = _longer(took, each)
    # Seconds of one prediction, as for the other tasks.
    took.seconds /= max(len(answers), 1)
    for asking in left:
        rows = four_fifths(known.cells.obs_names, name, asking.seed)
        drawn = np.isin(np.arange(len(known)), rows)
        scores, detail = _scored(known.term, drawn, answers)
        yield Outcome(asking, scores, took, int((known.term[rows] != "").sum()), detail)


def taken_out(term: NDArray[np.str_]) -> dict[str, list[str]]:
    """For each type that can be left out, list the remaining candidates, in the order of their ids.

    ``term`` is the Cell Ontology id of each cell, "" where there is none.
    """
    words, number = np.unique(term[term != ""], return_counts=True)
    cells, names = ontology("CL"), [str(word) for word in words]
    found: dict[str, list[str]] = {}
    for missing, many in zip(names, number.tolist(), strict=True):
        kin = {other for other in names if missing in cells.ancestors(other)} | cells.ancestors(missing) | {missing}
        offered = [word for word in names if word not in kin]
        if many >= FEWEST_CELLS and len(offered) >= FEWEST_NAMES:
            found[missing] = offered
    return found


def _scored(
    term: NDArray[np.str_], drawn: Bool[np.ndarray, "cell"], answers: dict[str, tuple[list[str], Sure]]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return the mean AUROC over left-out types, for each confidence measure, and for the one that represents the method.

    A method that reports a confidence is represented by it. A method with scores alone is represented by the best score or
    the margin above the second, whichever has the higher AUROC.
    """
    by_way: dict[str, dict[str, float]] = {}
    for missing, (offered, sure) in answers.items():
        out, within = drawn & (term == missing), drawn & np.isin(term, offered)
        for way, one in sure.items():
            area = auroc_of_fitting(one[out | within], within[out | within])
            if not np.isnan(area):
                by_way.setdefault(way, {})[missing] = area
    means = {way: float(np.mean(list(areas.values()))) for way, areas in by_way.items()}
    judged = "confidence" if "confidence" in means else max(means, key=means.__getitem__, default="")
    scores = {"auroc_unknown": means.get(judged, float("nan"))}
    return scores | {f"auroc_by_{way}": area for way, area in means.items()}, {"by_type": by_way.get(judged, {})}


def _longer(one: Took, other: Took) -> Took:
    peaks = [peak for peak in (one.peak_memory, other.peak_memory) if peak is not None]
    return Took(one.seconds + other.seconds, max(peaks, default=None))
