"""Linear softmax head with prior logits."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

HEAD_C = 10.0
"""Inverse regularisation strength (C of logistic regression), for features with a mean squared norm of about 1."""
HEAD_MAX_ITER = 200


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
