"""Accuracy, macro-F1 and AUROC."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


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
