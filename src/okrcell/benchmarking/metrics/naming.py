"""How well cells are named."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.scores import accuracy, auroc, macro_f1


@dataclass(frozen=True)
class NamingScores:
    """Each in [0, 1]; 1 is best."""

    accuracy: float
    """Share of cells that were given their own name; a cell without an answer counts as wrong."""
    macro_f1: float
    """Mean F1 over the names that occur among the cells or the answers, so that a rare type weighs like a common one."""


def naming_scores(truth: NDArray[np.str_], label: NDArray[np.str_]) -> NamingScores:
    """Compare answers with the truth; "" is no answer. Every cell must have a truth."""
    names = [word for word in np.unique(np.concatenate([truth, label])).tolist() if word != ""]
    places = {word: place for place, word in enumerate(names)}
    right = np.array([places[word] for word in truth.tolist()], dtype=np.intp)
    given = np.array([places.get(word, -1) for word in label.tolist()], dtype=np.intp)
    return NamingScores(accuracy(right, given), macro_f1(right, given, len(places)))


def mean_auroc(truth: NDArray[np.str_], names: Sequence[str], scores: Float[np.ndarray, "cell name"]) -> float:
    """Return the chance that a cell of a type scores higher for it than a cell of another, mean over the types there are.

    Cells without scores are left out; NaN if no type has cells of its own and others.
    """
    areas = [auroc(truth == name, scores[:, place].astype(np.float64)) for place, name in enumerate(names)]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def f1_of_types(truth: NDArray[np.str_], label: NDArray[np.str_], types: Sequence[str]) -> dict[str, float]:
    """Return the F1 of each of some types, in [0, 1]; cells of every other type count where they were given its name."""
    found: dict[str, float] = {}
    for name in types:
        there, given = truth == name, label == name
        both = int(there.sum() + given.sum())
        found[name] = 2 * int((there & given).sum()) / both if both else float("nan")
    return found
