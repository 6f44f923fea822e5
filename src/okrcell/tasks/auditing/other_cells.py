"""Cross-validated label probabilities by logistic regression."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

FOLDS = 5
"""Number of cross-validation folds."""
CELLS_TO_LEARN_FROM = 20_000
"""Maximum number of training cells per fold; it bounds time and memory."""
LOOSENESS = 3.0
"""Inverse regularisation strength (C of logistic regression), for features with a mean squared norm of about 3."""
LEAST = 1e-4
"""Lower bound of a probability, so that no single score decides alone."""


def folds(given: NDArray[np.integer], groups: NDArray[Any] | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Assign cells to `FOLDS` folds: stratified by label, or whole groups if there are at least three ``groups``.

    With fewer groups the folds are stratified, because a label that occurs in one group only could not be learned.
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
    """Predict each cell's label by logistic regression on the cells of other folds.

    Parameters
    ----------
    features
        Input features of the cells.
    given
        Label index of each cell, -1 for none. Cells without label are predicted, but not used for training.
    say
        Sample weight of each cell, in [0, 1].
    fold
        Fold of each cell.
    labels
        Number of labels.
    rng
        Random generator that subsamples training cells.

    Returns
    -------
    Probabilities; rows sum to 1, values are at least about `LEAST`. Uniform if no cell has a label.
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
            # The model is refitted with other weights anyway, and a small sample may have many classes.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
            learner.fit(features[examples], given[examples], say[examples])
        probability[np.ix_(judged, learner.classes_)] = learner.predict_proba(features[judged])
    probability += LEAST
    return probability / probability.sum(axis=1, keepdims=True)
