"""Contrastive losses: cross-entropy with soft targets (InfoNCE) and SigLIP."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def match_log_probs(
    queries: Float[Tensor, "pair dim"],
    keys: Float[Tensor, "key dim"],
    targets: Float[Tensor, "pair key"],
    temperature: Float[Tensor, ""] | float,
) -> Float[Tensor, "pair key"]:
    """Log probability that a key is the match of a query (E8 [paper]): log-softmax over similarities.

    Queries and keys have unit length. Keys with NaN target are excluded from the sum and have minus infinity. Computed in
    32 bits for any input: at a temperature of 0.01 half precision cannot separate likely keys.
    """
    return _logits(queries, keys, temperature).masked_fill(targets.isnan(), -torch.inf).log_softmax(dim=1)


def soft_cross_entropy(
    log_probs: Float[Tensor, "pair key"], targets: Float[Tensor, "pair key"]
) -> Float[Tensor, "pair"]:
    """Cross-entropy between match probabilities and soft targets, per pair; at least 0.

    Rows of ``targets`` sum to 1. With one positive this is InfoNCE (arXiv 1807.03748; one direction of E12).
    """
    # For excluded keys, 0 times minus infinity must be 0, in the gradient too.
    finite = log_probs.masked_fill(targets.isnan(), 0.0)
    return -(targets.nan_to_num() * finite).sum(dim=1)


def siglip_loss(
    queries: Float[Tensor, "pair dim"],
    keys: Float[Tensor, "key dim"],
    targets: Float[Tensor, "pair key"],
    temperature: Float[Tensor, ""] | float,
    bias: float,
) -> Float[Tensor, "pair"]:
    """Sum of logistic losses over keys, each classified on its own as match or not (SigLIP, arXiv 2303.15343).

    A control. ``bias`` is added to every similarity over temperature (the publication learns it, from -10). A key with a
    target above 0 is a positive, one of 0 a negative; NaN is excluded.
    """
    sign = targets.nan_to_num().sign() * 2 - 1
    logits = _logits(queries, keys, temperature) + bias
    return -functional.logsigmoid(sign * logits).masked_fill(targets.isnan(), 0.0).sum(dim=1)


def _logits(queries: Tensor, keys: Tensor, temperature: Float[Tensor, ""] | float) -> Float[Tensor, "pair key"]:
    # Autocast would compute the product in half precision.
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ keys.float().T / temperature
