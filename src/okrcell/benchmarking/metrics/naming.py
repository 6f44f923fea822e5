"""Annotation metrics: accuracy, macro-F1, mean AUROC, F1 per type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.scores import accuracy, auroc, macro_f1


@dataclass(frozen=True)
class NamingScores:
    """Annotation scores, each in [0, 1], higher is better."""

    accuracy: float
    """Fraction of cells with the right label; a cell without prediction counts as wrong."""
    macro_f1: float
    """Unweighted mean of F1 over the labels that occur in the truth or the predictions."""


def naming_scores(truth: NDArray[np.str_], label: NDArray[np.str_]) -> NamingScores:
    """Compare predicted labels with the truth; "" is no prediction. Every cell must have a true label."""
    names = [word for word in np.unique(np.concatenate([truth, label])).tolist() if word != ""]
    places = {word: place for place, word in enumerate(names)}
    right = np.array([places[word] for word in truth.tolist()], dtype=np.intp)
    given = np.array([places.get(word, -1) for word in label.tolist()], dtype=np.intp)
    return NamingScores(accuracy(right, given), macro_f1(right, given, len(places)))


def mean_auroc(truth: NDArray[np.str_], names: Sequence[str], scores: Float[np.ndarray, "cell name"]) -> float:
    """Return the AUROC of each type's score, cells of the type against all others, averaged over types.

    Cells without scores are left out; NaN if no type has both positives and negatives.
    """
    areas = [auroc(truth == name, scores[:, place].astype(np.float64)) for place, name in enumerate(names)]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def f1_of_types(truth: NDArray[np.str_], label: NDArray[np.str_], types: Sequence[str]) -> dict[str, float]:
    """Return the F1 of each of ``types``, in [0, 1], over all cells; other cells predicted as the type are false positives."""
    found: dict[str, float] = {}
    for name in types:
        there, given = truth == name, label == name
        both = int(there.sum() + given.sum())
        found[name] = 2 * int((there & given).sum()) / both if both else float("nan")
    return found
