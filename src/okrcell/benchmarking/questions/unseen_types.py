"""Cells of types that a model knows from words alone are named beside those that it has learned from."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.cells import part
from okrcell.benchmarking.clock import measured
from okrcell.benchmarking.method import Method, NamesFromWords
from okrcell.benchmarking.metrics.naming import f1_of_types
from okrcell.benchmarking.questions import zero_shot
from okrcell.benchmarking.questions.outcome import Asking, Outcome
from okrcell.benchmarking.sets.draws import four_fifths
from okrcell.benchmarking.sets.known_cells import known_cells
from okrcell.benchmarking.sets.left_out_types import has_seen, of_left_out_type
from okrcell.benchmarking.sets.splits import all_cells

SETS = zero_shot.SETS


def sets_of(name: str) -> tuple[str, ...]:
    """Name what a set is made of: itself."""
    return (name,)


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List what is asked: one answer, scored on the cells that each seed draws."""
    return [Asking("", seed) for seed in seeds]


def kept_out(method: Method) -> str:
    """Say why a method cannot be asked, "" if it can: it has learned from cells of the types in question."""
    if "data" in method.needs:
        return "it learns from labelled cells of these very types"
    if method.kind == "baseline":
        return ""
    seen = has_seen(method.model)
    if not seen:
        return ""
    more = f" and {len(seen) - 3} more" if len(seen) > 3 else ""
    return (
        f"its model.json does not say under seen.left_out_types that no cell of {', '.join(seen[:3])}{more} was learned from; "
        "train one with split.leave_types and name it with --models"
    )


def ask(answer: NamesFromWords, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Have all cells named among the types of their own set, and score the types that were left out of learning.

    A cell of another type that is given the name of one of these counts against it.
    """
    known = all_cells(known_cells(name, data))
    candidates = sorted(set(known.term.tolist()) - {""})
    with measured() as took:
        named = answer(part(known.cells, np.arange(len(known))), candidates, 0)
    for asking in left:
        rows = four_fifths(known.cells.obs_names, name, asking.seed)
        rows = rows[known.term[rows] != ""]
        scores, detail = _scored(known.term[rows], named.label[rows].astype(np.str_))
        yield Outcome(asking, scores, took, int(of_left_out_type(known.term[rows]).sum()), detail)


def _scored(truth: NDArray[np.str_], label: NDArray[np.str_]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    unseen = of_left_out_type(truth)
    types = np.unique(truth[unseen]).tolist()
    f1 = f1_of_types(truth, label, types)
    there = label[unseen] == truth[unseen]
    scores = {
        "macro_f1": float(np.mean(list(f1.values()))) if f1 else float("nan"),
        "accuracy": float(there.mean()) if unseen.any() else float("nan"),
        "accuracy_of_seen": float(np.mean(label[~unseen] == truth[~unseen])) if (~unseen).any() else float("nan"),
    }
    return scores, {"by_type": f1}
