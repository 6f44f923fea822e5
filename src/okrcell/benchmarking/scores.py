"""Accuracy, macro-F1 and AUROC."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


def accuracy(truth: NDArray[np.intp], answer: NDArray[np.intp]) -> float:
    """Return the fraction of cells with the right label; NaN without cells."""
    return float(np.mean(truth == answer)) if len(truth) else float("nan")


def macro_f1(truth: NDArray[np.intp], answer: NDArray[np.intp], names: int) -> float:
    """Return the unweighted mean of F1 over the labels that occur in ``truth`` or ``answer``.

    ``truth`` and ``answer`` are indices below ``names``, the number of labels; an answer of -1 is no prediction.
    """
    right = np.bincount(truth[truth == answer], minlength=names)
    there = np.bincount(truth, minlength=names)
    given = np.bincount(answer[answer >= 0], minlength=names)
    occurs = there + given > 0
    return float(np.mean(2 * right[occurs] / (there + given)[occurs])) if occurs.any() else float("nan")


def auroc(positive: NDArray[np.bool_], score: Float[np.ndarray, "pair"]) -> float:
    """Return the probability that a positive scores higher than a negative, ties counting half (Mann-Whitney).

    Entries with a score of NaN are left out. NaN if there are no positives or no negatives.
    """
    seen = ~np.isnan(score)
    positive, score = positive[seen], score[seen]
    many, rest = int(positive.sum()), int((~positive).sum())
    if many == 0 or rest == 0:
        return float("nan")
    _, place, size = np.unique(score, return_inverse=True, return_counts=True)
    # Mean rank of tied scores, counted from 1.
    rank = (np.cumsum(size) - (size - 1) / 2)[place]
    return float((rank[positive].sum() - many * (many + 1) / 2) / (many * rest))
