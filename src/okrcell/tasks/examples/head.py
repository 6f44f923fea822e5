"""A linear head that starts from what words say."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

LOOSENESS = 10.0
"""Inverse of the penalty on weights (C of logistic regression), for features with a mean square of about 1 a cell."""
ITERATIONS = 200


@dataclass(frozen=True)
class Head:
    """Weights of a softmax regression."""

    weight: Float[np.ndarray, "feature name"]
    bias: Float[np.ndarray, "name"]

    def logits(
        self, features: Float[np.ndarray, "cell feature"], start: Float[np.ndarray, "cell name"]
    ) -> Float[np.ndarray, "cell name"]:
        """Add what was learned to what was said before it."""
        return features @ self.weight + self.bias + start


def fit_head(
    features: Float[np.ndarray, "cell feature"],
    given: np.ndarray,
    start: Float[np.ndarray, "cell name"],
    looseness: float = LOOSENESS,
) -> Head:
    """Fit a softmax regression whose logits begin at ``start`` instead of at zero.

    With few examples the penalty keeps the head near its start, with many they decide: the prior shrinks by itself. At
    ``start`` = 0 it is the multinomial logistic regression of scikit-learn, but for a slight penalty on the bias.

    Parameters
    ----------
    given
        Number of the name of each cell.
    start
        Logits before anything is learned, such as what words alone say.
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
