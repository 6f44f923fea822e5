"""Linear head with a prior from label texts, its calibration and its cross-validation."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import logsumexp

from okrcell.errors import InputError
from okrcell.tasks.candidates import Candidate, parse_candidates
from okrcell.temperature import fit_temperature, label_log_probs

HEAD_C = 10.0
"""Inverse regularisation strength (C of logistic regression), for features with a mean squared norm of about 1."""
HEAD_MAX_ITER = 200


N_FOLDS = 5
"""Number of cross-validation folds."""
MAX_TRAIN_CELLS = 20_000
"""Maximum number of training cells per fold; it bounds time and memory."""
CROSS_VAL_C = 3.0
"""Inverse regularisation strength (C of logistic regression), for features with a mean squared norm of about 3."""
MIN_PROBABILITY = 1e-4
"""Lower bound of a probability, so that no single score decides alone."""
MIN_EXAMPLES = 3
"""Minimum number of examples of a label for cross-validation."""
MIN_INVERSE_TEMPERATURE, MAX_INVERSE_TEMPERATURE = 0.2, 2.0
CALIBRATION_PRIOR_CELLS = 20.0
"""Weight of the prior that the inverse temperature is 1, in cells."""
TEXT_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
"""Candidate weights of the text logits; 1 is the weight at the model's own temperature."""


@dataclass(frozen=True)
class LinearHead:
    """Weights of a softmax regression with prior logits."""

    weight: Float[np.ndarray, "feature name"]
    bias: Float[np.ndarray, "name"]

    def logits(
        self, features: Float[np.ndarray, "cell feature"], prior_logits: Float[np.ndarray, "cell name"]
    ) -> Float[np.ndarray, "cell name"]:
        """Return the fitted logits plus the prior logits ``prior_logits``."""
        return features @ self.weight + self.bias + prior_logits


def fit_head(
    features: Float[np.ndarray, "cell feature"],
    label_idx: np.ndarray,
    prior_logits: Float[np.ndarray, "cell name"],
    inverse_penalty: float = HEAD_C,
) -> LinearHead:
    """Fit a softmax regression with prior logits.

    With few examples the penalty keeps the logits near ``prior_logits``; with many examples the prior loses its influence. With
    ``prior_logits`` = 0 it is the multinomial logistic regression of scikit-learn, except for a small penalty on the bias.

    Parameters
    ----------
    features
        Input features of the cells.
    label_idx
        Label index of each cell.
    prior_logits
        Prior logits, such as those of the label texts.
    inverse_penalty
        Inverse regularisation strength (C of logistic regression).
    """
    from scipy.optimize import minimize

    n_features, n_labels = features.shape[1], prior_logits.shape[1]
    features = features.astype(np.float64)
    targets = np.eye(n_labels)[label_idx]

    def loss(flat: Float[np.ndarray, "parameter"]) -> tuple[float, Float[np.ndarray, "parameter"]]:
        weight, bias = flat[: n_features * n_labels].reshape(n_features, n_labels), flat[n_features * n_labels :]
        logits = features @ weight + bias + prior_logits
        log_norm = np.asarray(logsumexp(logits, axis=1))
        residual = np.exp(logits - log_norm[:, None]) - targets
        penalty = 0.5 / inverse_penalty * (weight**2).sum() + 0.05 * (bias**2).sum()
        gradient = np.concatenate(
            [(features.T @ residual + weight / inverse_penalty).ravel(), residual.sum(axis=0) + 0.1 * bias]
        )
        return float((log_norm - (targets * logits).sum(axis=1)).sum() + penalty), gradient

    result = minimize(
        loss,
        np.zeros((n_features + 1) * n_labels),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": HEAD_MAX_ITER, "gtol": 1e-3},
    )
    flat = np.asarray(result.x, dtype=np.float32)
    return LinearHead(flat[: n_features * n_labels].reshape(n_features, n_labels), flat[n_features * n_labels :])


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


def fit_inverse_temperature(
    features: Float[np.ndarray, "cell feature"],
    label_idx: NDArray[np.intp],
    prior_logits: Float[np.ndarray, "cell name"],
    seed: int = 0,
    groups: NDArray[np.str_] | None = None,
) -> float:
    """Return the factor in [0.2, 2] that calibrates the logits of a head on left-out cells.

    It is the inverse of the temperature of temperature scaling (Guo et al. 2017, arXiv 1706.04599), fitted on the folds of
    `assign_folds` (whole groups if there are at least three) and shrunk to 1 for few cells. It
    is calibrated for cells of the same study; a head is less accurate on another study.
    """
    is_frequent = np.bincount(label_idx, minlength=prior_logits.shape[1])[label_idx] >= MIN_EXAMPLES
    if is_frequent.sum() < MIN_EXAMPLES or len(np.unique(label_idx[is_frequent])) < 2:
        return 1.0
    features, label_idx, prior_logits = features[is_frequent], label_idx[is_frequent], prior_logits[is_frequent]
    rng = np.random.default_rng(seed)
    fold = assign_folds(label_idx, None if groups is None else groups[is_frequent], rng)
    logits = np.zeros_like(prior_logits)
    for fold_id in np.unique(fold):
        is_test = fold == fold_id
        if is_test.all():
            return 1.0
        logits[is_test] = fit_head(features[~is_test], label_idx[~is_test], prior_logits[~is_test]).logits(
            features[is_test], prior_logits[is_test]
        )

    def loss(factor: float) -> float:
        log_probs = np.maximum(label_log_probs(factor * logits, label_idx), -10)
        # Shrinkage to a factor of 1.
        return float(-log_probs.sum() + CALIBRATION_PRIOR_CELLS * np.log(factor) ** 2)

    return fit_temperature(loss, (MIN_INVERSE_TEMPERATURE, MAX_INVERSE_TEMPERATURE))


@dataclass(frozen=True)
class ExampleLabels:
    """Labels of example cells."""

    names: tuple[str, ...]
    """Distinct labels, sorted."""
    label_idx: NDArray[np.intp] = field(repr=False)
    """Index of each cell's label, -1 for an unlabelled cell."""
    candidates: tuple[Candidate, ...]
    """The same labels with their texts and Cell Ontology ids."""


def read_labels(
    labels: Sequence[str] | NDArray[np.str_],
    texts: Mapping[str, Sequence[str]] | None = None,
    ids: Mapping[str, str] | None = None,
) -> ExampleLabels:
    """Index the labels of cells.

    Parameters
    ----------
    labels
        Label of each cell, "" for an unlabelled cell.
    texts
        Texts of each label; by default those of `okrcell.tasks.candidates.parse_candidates`.
    ids
        Cell Ontology id of each label, "" for none; by default that of the term it names.

    Raises
    ------
    InputError
        If no cell has a label.
    """
    raw_labels = np.asarray(labels, dtype=str)
    names = sorted({str(name) for name in raw_labels.tolist() if name.strip()})
    if not names:
        raise InputError("No cell has a label, so no classifier can be trained. Label a few cells of each type first.")
    index = {name: idx for idx, name in enumerate(names)}
    label_idx = np.array([index.get(str(name), -1) for name in raw_labels.tolist()], dtype=np.intp)
    label_texts, label_ids = texts or {}, ids or {}
    return ExampleLabels(
        tuple(names),
        label_idx,
        tuple(_label_candidate(name, label_texts.get(name), label_ids.get(name)) for name in names),
    )


def text_logits(
    cell_vectors: Float[np.ndarray, "cell dim"], label_vectors: Float[np.ndarray, "name dim"], temperature: float
) -> Float[np.ndarray, "cell name"]:
    """Logits from label texts alone: cosine similarity, centred over the sample, divided by the model's temperature.

    Centring removes the mean of each text, because a text that is similar to all cells does not discriminate.
    """
    norm = np.linalg.norm(cell_vectors, axis=1, keepdims=True)
    similarity = (cell_vectors / np.maximum(norm, 1e-6)) @ label_vectors.T
    similarity = similarity - similarity.mean(axis=0, keepdims=True)
    return ((similarity - similarity.mean(axis=1, keepdims=True)) / temperature).astype(np.float32)


def fit_text_weight(
    logits: Float[np.ndarray, "example name"], label_idx: NDArray[np.intp], max_weight: float = TEXT_WEIGHTS[-1]
) -> float:
    """Return the text weight, one of `TEXT_WEIGHTS` up to ``max_weight``, with the highest likelihood of the example labels."""

    def likelihood(weight: float) -> float:
        return float(label_log_probs(weight * logits, label_idx).sum())

    return max((weight for weight in TEXT_WEIGHTS if weight <= max_weight), key=likelihood)


def _label_candidate(name: str, texts: Sequence[str] | None, term_id: str | None) -> Candidate:
    if texts is not None and term_id is not None:
        return Candidate(name, term_id, tuple(texts))
    try:
        parsed = parse_candidates([name])[0]
    except InputError:
        # A label that has the form of an ontology id, but is not one.
        parsed = Candidate(name, "", (name,))
    return Candidate(name, parsed.term_id if term_id is None else term_id, tuple(texts) if texts else parsed.texts)
