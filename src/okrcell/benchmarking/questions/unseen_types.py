"""Task unseen_types: zero-shot annotation of types that a model was not trained on."""

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
    """Return the data sets of an entry of `SETS`: itself."""
    return (name,)


def askings(_name: str, seeds: Sequence[int]) -> list[Asking]:
    """List the items: one prediction, scored on the cells of every seed."""
    return [Asking("", seed) for seed in seeds]


def kept_out(method: Method) -> str:
    """Reason why a method is excluded, "" if it is not: it was trained on cells of the left-out types."""
    if "data" in method.needs:
        return "it is trained on labelled cells of these types"
    if method.kind == "baseline":
        return ""
    seen = has_seen(method.model)
    if not seen:
        return ""
    more = f" and {len(seen) - 3} more" if len(seen) > 3 else ""
    return (
        f"its model.json does not list {', '.join(seen[:3])}{more} under seen.left_out_types (types left out of training); "
        "train a model with split.leave_types and give it with --models"
    )


def ask(answer: NamesFromWords, name: str, data: Path | None, left: Sequence[Asking]) -> Iterator[Outcome]:
    """Annotate all cells with the types of their data set as candidates, and score the types left out of training.

    Cells of other types that are predicted as one of these count as false positives.
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
