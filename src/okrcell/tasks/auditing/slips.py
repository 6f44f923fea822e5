"""Label noise model: probability of each written label given the true label."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

ROUNDS = 30
"""Number of EM iterations; the estimates converge earlier."""
BELIEVED = 5.0
"""Weight of the prior of each row of the noise matrix, in cells."""
RIGHT = 0.9
"""Prior probability of a correct label; the rest is spread over all labels by their frequency."""


@dataclass(frozen=True)
class Slips:
    """Fitted confusion of true and written labels."""

    written: Float[np.ndarray, "true written"]
    """Noise transition matrix: probability of each written label given the true label; rows sum to 1."""
    true: Float[np.ndarray, "cell label"]
    """Posterior probability of each label given the evidence and the written label; rows sum to 1."""
    likelihood: float
    """Mean log-likelihood of the written labels."""


def slips(evidence: Float[np.ndarray, "cell label"], given: NDArray[np.integer], rounds: int = ROUNDS) -> Slips:
    """Estimate the noise transition matrix of the labels and the posterior of each cell's true label.

    The joint distribution of written and true labels is that of confident learning (arXiv 1911.00068). It is fitted by
    expectation maximisation as for observers with errors (Dawid and Skene 1979, doi:10.2307/2346806) instead of counts above
    thresholds, with probabilities that do not use the labels: ours.

    Parameters
    ----------
    evidence
        Probability of each label for each cell, computed without its written label; rows sum to 1.
    given
        Index of the written label of each cell.
    rounds
        Number of EM iterations.
    """
    cells, labels = evidence.shape
    common = (np.bincount(given, minlength=labels) + 1.0) / (cells + labels)
    belief = BELIEVED * (RIGHT * np.eye(labels) + (1 - RIGHT) * common[None])
    written = belief / belief.sum(axis=1, keepdims=True)
    order = np.argsort(given, kind="stable")
    starts = np.searchsorted(given[order], np.arange(labels + 1))
    evidence = evidence[order]
    for _ in range(rounds):
        joint = evidence * written[:, given[order]].T
        joint /= np.maximum(joint.sum(axis=1, keepdims=True), 1e-30)
        counted = np.stack([joint[starts[one] : starts[one + 1]].sum(axis=0) for one in range(labels)], axis=1)
        written = (counted + belief) / (counted + belief).sum(axis=1, keepdims=True)
    joint = evidence * written[:, given[order]].T
    total = np.maximum(joint.sum(axis=1, keepdims=True), 1e-30)
    true = np.empty_like(joint)
    true[order] = joint / total
    return Slips(written, true, float(np.log(total).mean()))
