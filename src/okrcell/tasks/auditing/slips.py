"""Label noise model: probability of each written label given the true label."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

EM_ITERATIONS = 30
"""Number of EM iterations; the estimates converge earlier."""
PRIOR_CELLS = 5.0
"""Weight of the prior of each row of the noise matrix, in cells."""
PRIOR_ACCURACY = 0.9
"""Prior probability of a correct label; the rest is spread over all labels by their frequency."""


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
