"""How often a label is written where another is true."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

ROUNDS = 30
"""Of expectation and maximisation; the figures have settled long before."""
BELIEVED = 5.0
"""Cells' worth of belief, before any is seen, in how each label is written."""
RIGHT = 0.9
"""Of that belief, what goes to labels being written where they are true; the rest goes to all by how common they are."""


@dataclass(frozen=True)
class Slips:
    """Labels as written against labels as they are."""

    written: Float[np.ndarray, "true written"]
    """Chance of each label to be written where another is true; rows sum to 1."""
    true: Float[np.ndarray, "cell label"]
    """Probability that each label is the true one, given the evidence and the label that was written; rows sum to 1."""
    likelihood: float
    """Mean log probability of the labels that were written."""


def slips(evidence: Float[np.ndarray, "cell label"], given: NDArray[np.integer], rounds: int = ROUNDS) -> Slips:
    """Estimate who is mistaken for whom, and from that which label of each cell is true.

    The joint distribution of written and true labels is that of confident learning (arXiv 1911.00068); it is not counted
    above thresholds there, but fitted by expectation and maximisation as for observers who err (Dawid and Skene 1979,
    doi:10.2307/2346806), with evidence from outside the labels: ours.

    Parameters
    ----------
    evidence
        Probability of each label for each cell, without the label that was written; rows sum to 1.
    given
        The label that was written, for each cell.
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
