"""Accuracy, macro-F1 and AUROC, by their plain definitions."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


def accuracy(truth: NDArray[np.intp], answer: NDArray[np.intp]) -> float:
    """Return the share of cells that were given their own name; NaN without cells."""
    return float(np.mean(truth == answer)) if len(truth) else float("nan")


def macro_f1(truth: NDArray[np.intp], answer: NDArray[np.intp], names: int) -> float:
    """Return the mean F1 over the names that occur in ``truth`` or ``answer``, so that a rare type weighs like a common one.

    ``truth`` and ``answer`` are places among the ``names``; an answer of -1 is none at all.
    """
    right = np.bincount(truth[truth == answer], minlength=names)
    there = np.bincount(truth, minlength=names)
    given = np.bincount(answer[answer >= 0], minlength=names)
    occurs = there + given > 0
    return float(np.mean(2 * right[occurs] / (there + given)[occurs])) if occurs.any() else float("nan")


def auroc(positive: NDArray[np.bool_], score: Float[np.ndarray, "pair"]) -> float:
    """Return the chance that a positive one scores higher than another, ties counting half (Mann-Whitney).

    Pairs whose score is NaN are left out. NaN if there is none of either side.
    """
    seen = ~np.isnan(score)
    positive, score = positive[seen], score[seen]
    many, rest = int(positive.sum()), int((~positive).sum())
    if many == 0 or rest == 0:
        return float("nan")
    _, place, size = np.unique(score, return_inverse=True, return_counts=True)
    # The mean rank of equal scores, counted from 1.
    rank = (np.cumsum(size) - (size - 1) / 2)[place]
    return float((rank[positive].sum() - many * (many + 1) / 2) / (many * rest))
