"""Annotation metrics: accuracy, macro-F1, mean AUROC, F1 per type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.scores import accuracy, auroc, macro_f1


@dataclass(frozen=True)
class AnnotationScores:
    """Annotation scores, each in [0, 1], higher is better."""

    accuracy: float
    """Fraction of cells with the right label; a cell without prediction counts as wrong."""
    macro_f1: float
    """Unweighted mean of F1 over the labels that occur in the truth or the predictions."""


def annotation_scores(truth: NDArray[np.str_], label: NDArray[np.str_]) -> AnnotationScores:
    """Compare predicted labels with the truth; "" is no prediction. Every cell must have a true label."""
    names = [name for name in np.unique(np.concatenate([truth, label])).tolist() if name != ""]
    index = {name: i for i, name in enumerate(names)}
    true_index = np.array([index[name] for name in truth.tolist()], dtype=np.intp)
    predicted_index = np.array([index.get(name, -1) for name in label.tolist()], dtype=np.intp)
    return AnnotationScores(accuracy(true_index, predicted_index), macro_f1(true_index, predicted_index, len(index)))


def mean_auroc(truth: NDArray[np.str_], names: Sequence[str], scores: Float[np.ndarray, "cell name"]) -> float:
    """Return the AUROC of each type's score, cells of the type against all others, averaged over types.

    Cells without scores are left out; NaN if no type has both positives and negatives.
    """
    aurocs = [auroc(truth == name, scores[:, column].astype(np.float64)) for column, name in enumerate(names)]
    defined = [value for value in aurocs if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def f1_by_type(truth: NDArray[np.str_], label: NDArray[np.str_], types: Sequence[str]) -> dict[str, float]:
    """Return the F1 of each of ``types``, in [0, 1], over all cells; other cells predicted as the type are false positives."""
    scores: dict[str, float] = {}
    for name in types:
        is_type, is_predicted = truth == name, label == name
        total = int(is_type.sum() + is_predicted.sum())
        scores[name] = 2 * int((is_type & is_predicted).sum()) / total if total else float("nan")
    return scores
