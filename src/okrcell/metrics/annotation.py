"""Relation of predicted to true cell types in the Cell Ontology."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from okrcell.ontology.ontology import ontology

N_BINS = 10
"""Number of bins of equal width, as in Guo et al. 2017."""
COVERAGES = tuple(round(0.1 * step, 1) for step in range(1, 11))
"""Fractions of the cells, by descending confidence."""
RELATIONS: tuple[str, ...] = ("right", "broader", "narrower", "sibling", "wrong", "none")
"""right: the same type. broader: an ancestor of the true type. narrower: a descendant of the true type. sibling: both share a
parent. wrong: any other type. none: no prediction."""


def accuracy(truth: NDArray[np.intp], prediction: NDArray[np.intp]) -> float:
    """Return the fraction of cells with the right label; NaN without cells."""
    return float(np.mean(truth == prediction)) if len(truth) else float("nan")


def macro_f1(truth: NDArray[np.intp], prediction: NDArray[np.intp], n_labels: int) -> float:
    """Return the unweighted mean of F1 over the labels that occur in ``truth`` or ``prediction``.

    ``truth`` and ``prediction`` are indices below ``n_labels``, the number of labels; an answer of -1 is no prediction.
    """
    true_positives = np.bincount(truth[truth == prediction], minlength=n_labels)
    n_true = np.bincount(truth, minlength=n_labels)
    n_predicted = np.bincount(prediction[prediction >= 0], minlength=n_labels)
    occurs = n_true + n_predicted > 0
    return float(np.mean(2 * true_positives[occurs] / (n_true + n_predicted)[occurs])) if occurs.any() else float("nan")


def auroc(positive: NDArray[np.bool_], score: Float[np.ndarray, "pair"]) -> float:
    """Return the probability that a positive scores higher than a negative, ties counting half (Mann-Whitney).

    Entries with a score of NaN are left out. NaN if there are no positives or no negatives.
    """
    mask = ~np.isnan(score)
    positive, score = positive[mask], score[mask]
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    _, level, counts = np.unique(score, return_inverse=True, return_counts=True)
    # Mean rank of tied scores, counted from 1.
    rank = (np.cumsum(counts) - (counts - 1) / 2)[level]
    return float((rank[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


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


def expected_calibration_error(confidence: Float[np.ndarray, "cell"], correct: Bool[np.ndarray, "cell"]) -> float:
    """Return the expected calibration error: abs(accuracy - confidence), weighted mean over bins (Guo et al. 2017, eq. 3).

    ``confidence`` is in [0, 1]; cells where it is NaN are left out. NaN without cells.
    """
    mask = ~np.isnan(confidence)
    values, hits = confidence[mask], correct[mask]
    if not len(values):
        return float("nan")
    bin_index = np.clip(np.ceil(values * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    bin_gaps = np.bincount(bin_index, weights=values - hits, minlength=N_BINS)
    return float(np.abs(bin_gaps).sum() / len(values))


def accuracy_by_coverage(
    confidence: Float[np.ndarray, "cell"], correct: Bool[np.ndarray, "cell"]
) -> dict[float, float]:
    """Return the accuracy of the 10, 20, ... 100 % of the cells with the highest confidence; NaN confidence comes last.

    Cells tied at the boundary count in part, so the result does not depend on the order of cells.
    """
    sort_keys = np.where(np.isnan(confidence), -np.inf, confidence)
    levels, level = np.unique(-sort_keys, return_inverse=True)
    size = np.bincount(level, minlength=len(levels))
    n_correct = np.bincount(level, weights=correct, minlength=len(levels))
    cumulative_cells, cumulative_correct = (
        np.concatenate([[0], np.cumsum(size)]),
        np.concatenate([[0], np.cumsum(n_correct)]),
    )
    if not len(sort_keys):
        return dict.fromkeys(COVERAGES, float("nan"))
    return {
        fraction: float(
            np.interp(fraction * len(sort_keys), cumulative_cells, cumulative_correct) / (fraction * len(sort_keys))
        )
        for fraction in COVERAGES
    }


def relation_fractions(truth: NDArray[np.str_], label: NDArray[np.str_]) -> Mapping[str, float]:
    """Return the fraction of cells of each category of `RELATIONS`; these sum to 1.

    ``truth`` and ``label`` are Cell Ontology ids; "" is no prediction. The additional key ``within_one_step`` is the fraction
    of cells whose prediction is the true type, its parent or its child.
    """
    if not len(truth):
        return {relation: float("nan") for relation in (*RELATIONS, "within_one_step")}
    pairs, count = np.unique(np.stack([truth, label]), axis=1, return_counts=True)
    fractions = dict.fromkeys((*RELATIONS, "within_one_step"), 0.0)
    for (true_id, predicted_id), n in zip(pairs.T.tolist(), count.tolist(), strict=True):
        relation = ontology_relation(true_id, predicted_id)
        fractions[relation] += n / len(truth)
        if relation == "right" or (relation in ("broader", "narrower") and _n_steps(true_id, predicted_id) == 1):
            fractions["within_one_step"] += n / len(truth)
    return fractions


@cache
def ontology_relation(truth: str, label: str) -> str:
    """Return the category of a predicted id given the true one: one of `RELATIONS`."""
    cells = ontology("CL")
    true_id, label_id = cells.current_id(truth), cells.current_id(label) if label else None
    if not label:
        return "none"
    if true_id is None or label_id is None:
        return "wrong"
    if true_id == label_id:
        return "right"
    if label_id in cells.ancestors(true_id):
        return "broader"
    if true_id in cells.ancestors(label_id):
        return "narrower"
    return "sibling" if set(cells.parents(true_id)) & set(cells.parents(label_id)) else "wrong"


@cache
def _n_steps(source: str, target: str) -> int | None:
    return ontology("CL").distance(source, target)
