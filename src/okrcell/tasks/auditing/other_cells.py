"""Cross-validated label probabilities by logistic regression."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

N_FOLDS = 5
"""Number of cross-validation folds."""
MAX_TRAIN_CELLS = 20_000
"""Maximum number of training cells per fold; it bounds time and memory."""
CROSS_VAL_C = 3.0
"""Inverse regularisation strength (C of logistic regression), for features with a mean squared norm of about 3."""
MIN_PROBABILITY = 1e-4
"""Lower bound of a probability, so that no single score decides alone."""


def assign_folds(
    label_idx: NDArray[np.integer], groups: NDArray[Any] | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign cells to `N_FOLDS` folds: stratified by label, or whole groups if there are at least three ``groups``.

    With fewer groups the folds are stratified, because a label that occurs in one group only could not be learned.
    """
    fold = np.zeros(len(label_idx), dtype=np.int64)
    group_names, group_idx = (
        np.unique(np.asarray(groups, dtype=str), return_inverse=True) if groups is not None else ([], label_idx)
    )
    if len(group_names) >= 3:
        group_sizes = np.bincount(group_idx)
        fold_sizes = np.zeros(min(N_FOLDS, len(group_names)))
        group_fold = np.zeros(len(group_names), dtype=np.int64)
        for group in np.argsort(-group_sizes - rng.random(len(group_sizes)), kind="stable"):
            group_fold[group] = fold_sizes.argmin()
            fold_sizes[group_fold[group]] += group_sizes[group]
        return group_fold[group_idx]
    for label in np.unique(label_idx):
        members = rng.permutation(np.flatnonzero(label_idx == label))
        fold[members] = (np.arange(len(members)) + rng.integers(N_FOLDS)) % N_FOLDS
    return fold


def cross_val_predict_proba(
    features: Float[np.ndarray, "cell feature"],
    label_idx: NDArray[np.integer],
    sample_weight: Float[np.ndarray, "cell"],
    fold: NDArray[np.int64],
    n_labels: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "cell label"]:
    """Predict each cell's label by logistic regression on the cells of other folds.

    Parameters
    ----------
    features
        Input features of the cells.
    label_idx
        Label index of each cell, -1 for none. Cells without label are predicted, but not used for training.
    sample_weight
        Sample weight of each cell, in [0, 1].
    fold
        Fold of each cell.
    n_labels
        Number of labels.
    rng
        Random generator that subsamples training cells.

    Returns
    -------
    Probabilities; rows sum to 1, values are at least about `MIN_PROBABILITY`. Uniform if no cell has a label.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    probability = np.zeros((len(label_idx), n_labels), dtype=np.float32)
    for fold_id in np.unique(fold):
        is_test = fold == fold_id
        train_idx = np.flatnonzero(~is_test & (label_idx >= 0) & (sample_weight > 0))
        if len(train_idx) > MAX_TRAIN_CELLS:
            train_idx = np.sort(rng.permutation(train_idx)[:MAX_TRAIN_CELLS])
        train_labels = np.unique(label_idx[train_idx])
        if len(train_labels) < 2:
            probability[np.ix_(is_test, train_labels)] = 1.0
            continue
        classifier: Any = LogisticRegression(C=CROSS_VAL_C, max_iter=200, tol=1e-3)
        with warnings.catch_warnings():
            # The model is refitted with other weights anyway, and a small sample may have many classes.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
            classifier.fit(features[train_idx], label_idx[train_idx], sample_weight[train_idx])
        probability[np.ix_(is_test, classifier.classes_)] = classifier.predict_proba(features[is_test])
    probability += MIN_PROBABILITY
    return probability / probability.sum(axis=1, keepdims=True)
