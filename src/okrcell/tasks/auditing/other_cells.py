"""What the other cells of a study say that a cell is."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

FOLDS = 5
"""A cell is judged by four fifths of the others."""
CELLS_TO_LEARN_FROM = 20_000
"""At most, for each fold: more say little more, and time and memory stay bounded."""
LOOSENESS = 3.0
"""Inverse of the penalty on weights (C of logistic regression); features have a mean square of about 3 a cell."""
LEAST = 1e-4
"""A probability is never lower, so that no single witness decides alone."""


def folds(given: NDArray[np.integer], groups: NDArray[Any] | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal cells into `FOLDS` parts of like size, each with its share of every label; with ``groups``, whole groups.

    With fewer than three groups cells are dealt all the same: a label that one group alone has could not be learned.
    """
    fold = np.zeros(len(given), dtype=np.int64)
    names, code = np.unique(np.asarray(groups, dtype=str), return_inverse=True) if groups is not None else ([], given)
    if len(names) >= 3:
        size = np.bincount(code)
        filled = np.zeros(min(FOLDS, len(names)))
        place = np.zeros(len(names), dtype=np.int64)
        for group in np.argsort(-size - rng.random(len(size)), kind="stable"):
            place[group] = filled.argmin()
            filled[place[group]] += size[group]
        return place[code]
    for label in np.unique(given):
        members = rng.permutation(np.flatnonzero(given == label))
        fold[members] = (np.arange(len(members)) + rng.integers(FOLDS)) % FOLDS
    return fold


def foretold(
    features: Float[np.ndarray, "cell feature"],
    given: NDArray[np.integer],
    say: Float[np.ndarray, "cell"],
    fold: NDArray[np.int64],
    labels: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "cell label"]:
    """Foretell each cell's label by logistic regression on the cells of other folds.

    Parameters
    ----------
    given
        Label of each cell, -1 for cells that have none: nobody learns from them, and they are foretold all the same.
    say
        How much each cell counts as an example, in [0, 1].

    Returns
    -------
    Probabilities; rows sum to 1, none is below about `LEAST`. Where no cell has a label, all are alike.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    probability = np.zeros((len(given), labels), dtype=np.float32)
    for number in np.unique(fold):
        judged = fold == number
        examples = np.flatnonzero(~judged & (given >= 0) & (say > 0))
        if len(examples) > CELLS_TO_LEARN_FROM:
            examples = np.sort(rng.permutation(examples)[:CELLS_TO_LEARN_FROM])
        known = np.unique(given[examples])
        if len(known) < 2:
            probability[np.ix_(judged, known)] = 1.0
            continue
        learner: Any = LogisticRegression(C=LOOSENESS, max_iter=200, tol=1e-3)
        with warnings.catch_warnings():
            # It is refitted with other weights anyway; a last digit does not matter. And of few cells many may be of a kind.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
            learner.fit(features[examples], given[examples], say[examples])
        probability[np.ix_(judged, learner.classes_)] = learner.predict_proba(features[judged])
    probability += LEAST
    return probability / probability.sum(axis=1, keepdims=True)
