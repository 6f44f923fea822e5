"""Label error detection: probability that each label is right, and the most likely label."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from okrcell.settings import Settings
from okrcell.tasks.classifier import MIN_PROBABILITY, assign_folds, cross_val_predict_proba

EM_ITERATIONS = 30
"""Number of EM iterations; the estimates converge earlier."""
PRIOR_CELLS = 5.0
"""Weight of the prior of each row of the noise matrix, in cells."""
PRIOR_ACCURACY = 0.9
"""Prior probability of a correct label; the rest is spread over all labels by their frequency."""
TRUST_THRESHOLD = 0.5
"""A label with a lower trust is more likely wrong than right."""
PCA_SCALE = 1.5
"""Scale of the study's principal components relative to the model's vectors, in a logistic regression on both."""


def match_probability(
    cell_vectors: Float[np.ndarray, "cell dim"],
    labels: Float[np.ndarray, "label dim"],
    label_counts: NDArray[np.integer],
    sigma: float = 0.05,
) -> Float[np.ndarray, "cell label"]:
    """Match probability r of every cell with every label (E9, our reconstruction).

    r is the geometric mean of two softmax probabilities: of the label among all distinct labels given the cell, and of the
    cell among all cells given the label. The second is multiplied by the number of cells with the label and clipped at 1,
    so that frequent labels are not rated as unreliable (method 5.2, correction for duplicates). A label that is similar to
    all cells therefore does not match all of them.

    Parameters
    ----------
    cell_vectors
        Unit vectors of the cells; NaN for a cell without expression.
    labels
        Unit vectors of the labels.
    label_counts
        Number of cells with each label.
    sigma
        sigma of E9: temperature of the similarities.

    Returns
    -------
    Values in [0, 1]; NaN for a cell without expression.
    """
    has_expression = ~np.isnan(cell_vectors).any(axis=1)
    match_prob = np.full((len(cell_vectors), len(labels)), np.nan, dtype=np.float32)
    if not has_expression.any():
        return match_prob
    similarity = (cell_vectors[has_expression] @ labels.T) / np.float32(sigma)
    label_prob = softmax(similarity, axis=1)
    cell_prob = softmax(similarity, axis=0) * np.maximum(label_counts, 1)
    match_prob[has_expression] = np.sqrt(label_prob * np.minimum(cell_prob, 1))
    return match_prob


@dataclass(frozen=True)
class NoiseTransition:
    """Fitted confusion of true and written labels."""

    matrix: Float[np.ndarray, "true written"]
    """Noise transition matrix: probability of each written label given the true label; rows sum to 1."""
    posterior: Float[np.ndarray, "cell label"]
    """Posterior probability of each label given the evidence and the written label; rows sum to 1."""
    log_likelihood: float
    """Mean log-likelihood of the written labels."""


def fit_noise_transition(
    label_prob: Float[np.ndarray, "cell label"], label_idx: NDArray[np.integer], n_iter: int = EM_ITERATIONS
) -> NoiseTransition:
    """Estimate the noise transition matrix of the labels and the posterior of each cell's true label.

    The joint distribution of written and true labels is that of confident learning (arXiv 1911.00068). It is fitted by
    expectation maximisation as for observers with errors (Dawid and Skene 1979, doi:10.2307/2346806) instead of counts above
    thresholds, with probabilities that do not use the labels: ours.

    Parameters
    ----------
    label_prob
        Probability of each label for each cell, computed without its written label; rows sum to 1.
    label_idx
        Index of the written label of each cell.
    n_iter
        Number of EM iterations.
    """
    n_cells, n_labels = label_prob.shape
    label_frequency = (np.bincount(label_idx, minlength=n_labels) + 1.0) / (n_cells + n_labels)
    prior = PRIOR_CELLS * (PRIOR_ACCURACY * np.eye(n_labels) + (1 - PRIOR_ACCURACY) * label_frequency[None])
    transition = prior / prior.sum(axis=1, keepdims=True)
    order = np.argsort(label_idx, kind="stable")
    starts = np.searchsorted(label_idx[order], np.arange(n_labels + 1))
    label_prob = label_prob[order]
    for _ in range(n_iter):
        joint = label_prob * transition[:, label_idx[order]].T
        joint /= np.maximum(joint.sum(axis=1, keepdims=True), 1e-30)
        expected_counts = np.stack(
            [joint[starts[label] : starts[label + 1]].sum(axis=0) for label in range(n_labels)], axis=1
        )
        transition = (expected_counts + prior) / (expected_counts + prior).sum(axis=1, keepdims=True)
    joint = label_prob * transition[:, label_idx[order]].T
    total = np.maximum(joint.sum(axis=1, keepdims=True), 1e-30)
    posterior = np.empty_like(joint)
    posterior[order] = joint / total
    return NoiseTransition(transition, posterior, float(np.log(total).mean()))


class AuditSettings(Settings):
    """Settings of label error detection (ours; chosen on pretraining studies, docs/results/audit.md)."""

    rounds: Annotated[int, Field(ge=0)] = 2
    """Number of refits. Each refit weights a cell by the probability of its label relative to that of its most likely label."""
    words: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.1, 0.25, 0.5, 1.0)
    """Candidate weights of the text similarity relative to the classifier; the weight with the highest likelihood of the
    labels is chosen per study. (0,) ignores the texts."""
    sharpness: Annotated[float, Field(gt=0)] = 0.05
    """sigma of the match probability of cells and texts (E9)."""
    fewest: Annotated[int, Field(ge=1)] = 5
    """A label with fewer cells in its study is not learned by the classifier; its cells are scored by text similarity only."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed of the cross-validation folds."""


@dataclass(frozen=True)
class LabelAudit:
    """Result of label error detection for one study; arrays over cells."""

    trust: Float[np.ndarray, "cell"]
    """Probability that the label, or a broader or narrower term of it, is right, in [0, 1]; NaN for a cell without label or
    expression."""
    most_likely: NDArray[np.intp]
    """Index of the most likely label; -1 for a cell without expression."""
    likely_probability: Float[np.ndarray, "cell"]
    """Probability of ``most_likely``, computed without the cell's own label; NaN for a cell without expression."""
    doubtful: NDArray[np.bool_]
    """True where trust is below 0.5 and ``most_likely`` is neither the label nor a broader or narrower term of it."""
    match_probability: Float[np.ndarray, "cell"]
    """Match probability r of the cell and the texts of its label, in [0, 1] (E9); NaN for a cell without label."""
    text_weight: float
    """Chosen weight of the text similarity; the classifier has weight 1."""
    noise: NoiseTransition | None
    """Estimated confusion of true and written labels; None if no cell has a label."""

    @property
    def expected_errors(self) -> float:
        """Expected number of wrong labels: the sum of 1 - trust."""
        return float(np.nansum(1 - self.trust))


def audit_labels(
    cell_vectors: Float[np.ndarray, "cell dim"],
    components: Float[np.ndarray, "cell component"],
    label_vectors: Float[np.ndarray, "label dim"],
    label_idx: NDArray[np.integer],
    is_related: Bool[np.ndarray, "label label"],
    groups: NDArray[np.str_] | None = None,
    settings: AuditSettings | None = None,
) -> LabelAudit:
    """Estimate for each cell of one study the probability that its label is right.

    Two scores that do not use the cell's own label are combined: cross-validated predictions of a classifier
    (`cross_val_predict_proba`), and the match probability of cells and label texts (`match_probability`). These and the
    written labels give the confusion of true and written labels (`fit_noise_transition`), and from it the probability that a
    label is right. The classifier is refitted several times; cells with an unlikely label get a lower weight in each refit.

    Parameters
    ----------
    cell_vectors
        Unit vectors of the cells from the model, NaN for a cell without expression.
    components
        Principal components of the study (`okrcell.tasks.audit_study`).
    label_vectors
        Unit vector of the texts of each label.
    label_idx
        Index of each cell's label in ``label_vectors``, -1 for a cell without label.
    is_related
        True where one label is the same as, broader or narrower than the other; true on the diagonal.
    groups
        Donor or batch of each cell. If passed, a cell is never scored by a classifier that was fitted on its own group.
    """
    settings = AuditSettings() if settings is None else settings
    label_idx = np.asarray(label_idx, dtype=np.int64)
    has_expression = np.asarray(~np.isnan(cell_vectors).any(axis=1))
    labeled = has_expression & (label_idx >= 0)
    rng = np.random.default_rng(settings.seed)
    label_counts = np.bincount(label_idx[labeled], minlength=len(label_vectors))
    match_prob = match_probability(cell_vectors[has_expression], label_vectors, label_counts, settings.sharpness)
    measured_label_idx = label_idx[has_expression]
    labeled_rows = np.flatnonzero(measured_label_idx >= 0)
    is_rare = (measured_label_idx >= 0) & (label_counts[measured_label_idx] < settings.fewest)
    fold = np.zeros(len(measured_label_idx), dtype=np.int64)
    fold[labeled_rows] = assign_folds(
        measured_label_idx[labeled_rows], None if groups is None else groups[has_expression][labeled_rows], rng
    )
    # Cells without a label are never training examples; they are spread over the folds to be scored.
    fold[measured_label_idx < 0] = np.arange((measured_label_idx < 0).sum()) % (fold.max(initial=0) + 1)

    features = _features(cell_vectors[has_expression], components[has_expression])
    text_log_prob = np.log(match_prob + MIN_PROBABILITY)
    sample_weight, trust = np.ones((2, len(measured_label_idx)), dtype=np.float32)
    label_prob, text_weight, noise = np.full(text_log_prob.shape, 1 / len(label_vectors), dtype=np.float32), 0.0, None
    for _ in range(settings.rounds + 1):
        if not len(labeled_rows):
            break
        classifier_log_prob = np.log(
            cross_val_predict_proba(
                features, np.where(is_rare, -1, measured_label_idx), sample_weight, fold, len(label_vectors), rng
            )
        )
        classifier_log_prob[is_rare] = 0.0
        text_weight, noise = _select_text_weight(
            classifier_log_prob[labeled_rows],
            text_log_prob[labeled_rows],
            measured_label_idx[labeled_rows],
            settings.words,
        )
        label_prob = _combine_log_probs(
            classifier_log_prob, text_log_prob, np.where(is_rare, max(text_weight, settings.words[-1]), text_weight)
        )
        noise = fit_noise_transition(label_prob[labeled_rows], measured_label_idx[labeled_rows])
        trust[labeled_rows] = np.clip(
            (noise.posterior * is_related[measured_label_idx[labeled_rows]]).sum(axis=1), 0, 1
        )
        # Trust is not used as weight: if many labels are wrong, the first fit is blurred and trust would keep it so.
        own_label_prob = (label_prob[labeled_rows] * is_related[measured_label_idx[labeled_rows]]).max(axis=1)
        sample_weight[labeled_rows] = np.maximum(own_label_prob / label_prob[labeled_rows].max(axis=1), MIN_PROBABILITY)
    return _to_all_cells(
        has_expression, labeled, label_idx, trust, label_prob, match_prob, is_related, text_weight, noise
    )


def _features(
    cell_vectors: Float[np.ndarray, "cell dim"], components: Float[np.ndarray, "cell component"]
) -> Float[np.ndarray, "cell feature"]:
    centered = cell_vectors - cell_vectors.mean(axis=0) if len(cell_vectors) else cell_vectors
    scale = max(float(np.sqrt((centered**2).sum(axis=1).mean())), 1e-6) if len(cell_vectors) else 1.0
    return np.hstack([PCA_SCALE * components, centered / scale]).astype(np.float32)


def _select_text_weight(
    classifier_log_prob: Float[np.ndarray, "cell label"],
    text_log_prob: Float[np.ndarray, "cell label"],
    label_idx: NDArray[np.int64],
    text_weights: tuple[float, ...],
) -> tuple[float, NoiseTransition]:
    """Choose the text weight that maximizes the likelihood of the written labels."""
    fits = [
        (
            text_weight,
            fit_noise_transition(
                _combine_log_probs(classifier_log_prob, text_log_prob, text_weight), label_idx, n_iter=10
            ),
        )
        for text_weight in text_weights
    ]
    return max(fits, key=lambda fit: fit[1].log_likelihood)


def _combine_log_probs(
    classifier_log_prob: Float[np.ndarray, "cell label"],
    text_log_prob: Float[np.ndarray, "cell label"],
    text_weight: float | Float[np.ndarray, "cell"],
) -> Float[np.ndarray, "cell label"]:
    logits = classifier_log_prob + text_log_prob * np.reshape(np.asarray(text_weight, dtype=np.float32), (-1, 1))
    exp_logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp_logits / exp_logits.sum(axis=1, keepdims=True)


def _to_all_cells(
    has_expression: NDArray[np.bool_],
    labeled: NDArray[np.bool_],
    label_idx: NDArray[np.int64],
    trust: Float[np.ndarray, "measured"],
    label_prob: Float[np.ndarray, "measured label"],
    match_prob: Float[np.ndarray, "measured label"],
    is_related: Bool[np.ndarray, "label label"],
    text_weight: float,
    noise: NoiseTransition | None,
) -> LabelAudit:
    """Scatter the results of the cells with expression to the rows of all cells."""
    most_likely = np.full(len(has_expression), -1, dtype=np.intp)
    all_trust, likely_prob, all_match_prob = (np.full(len(has_expression), np.nan, dtype=np.float32) for _ in range(3))
    most_likely[has_expression] = label_prob.argmax(axis=1)
    likely_prob[has_expression] = label_prob.max(axis=1)
    measured_labeled = labeled[has_expression]
    all_trust[labeled] = trust[measured_labeled]
    all_match_prob[labeled] = match_prob[measured_labeled, label_idx[labeled]]
    doubtful = np.zeros(len(has_expression), dtype=bool)
    doubtful[labeled] = (trust[measured_labeled] < TRUST_THRESHOLD) & ~is_related[
        label_idx[labeled], most_likely[labeled]
    ]
    return LabelAudit(all_trust, most_likely, likely_prob, doubtful, all_match_prob, text_weight, noise)
