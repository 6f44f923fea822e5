"""Linear softmax head with prior logits."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

LOOSENESS = 10.0
"""Inverse regularisation strength (C of logistic regression), for features with a mean squared norm of about 1."""
ITERATIONS = 200


@dataclass(frozen=True)
class Head:
    """Weights of a softmax regression with prior logits."""

    weight: Float[np.ndarray, "feature name"]
    bias: Float[np.ndarray, "name"]

    def logits(
        self, features: Float[np.ndarray, "cell feature"], start: Float[np.ndarray, "cell name"]
    ) -> Float[np.ndarray, "cell name"]:
        """Return the fitted logits plus the prior logits ``start``."""
        return features @ self.weight + self.bias + start


def fit_head(
    features: Float[np.ndarray, "cell feature"],
    given: np.ndarray,
    start: Float[np.ndarray, "cell name"],
    looseness: float = LOOSENESS,
) -> Head:
    """Fit a softmax regression with prior logits.

    With few examples the penalty keeps the logits near ``start``; with many examples the prior loses its influence. With
    ``start`` = 0 it is the multinomial logistic regression of scikit-learn, except for a small penalty on the bias.

    Parameters
    ----------
    features
        Input features of the cells.
    given
        Label index of each cell.
    start
        Prior logits, such as those of the label texts.
    looseness
        Inverse regularisation strength (C of logistic regression).
    """
    from scipy.optimize import minimize

    wide, names = features.shape[1], start.shape[1]
    features = features.astype(np.float64)
    truth = np.eye(names)[given]

    def loss(flat: Float[np.ndarray, "parameter"]) -> tuple[float, Float[np.ndarray, "parameter"]]:
        weight, bias = flat[: wide * names].reshape(wide, names), flat[wide * names :]
        logits = features @ weight + bias + start
        total = np.asarray(logsumexp(logits, axis=1))
        wrong = np.exp(logits - total[:, None]) - truth
        penalty = 0.5 / looseness * (weight**2).sum() + 0.05 * (bias**2).sum()
        slope = np.concatenate([(features.T @ wrong + weight / looseness).ravel(), wrong.sum(axis=0) + 0.1 * bias])
        return float((total - (truth * logits).sum(axis=1)).sum() + penalty), slope

    found = minimize(
        loss, np.zeros((wide + 1) * names), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "gtol": 1e-3}
    )
    flat = np.asarray(found.x, dtype=np.float32)
    return Head(flat[: wide * names].reshape(wide, names), flat[wide * names :])
