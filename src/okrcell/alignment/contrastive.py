"""Pull a cell towards its own text, away from the others."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def matching(
    queries: Float[Tensor, "pair dim"],
    keys: Float[Tensor, "key dim"],
    targets: Float[Tensor, "pair key"],
    temperature: Float[Tensor, ""] | float,
) -> Float[Tensor, "pair key"]:
    """Return the log of the probability that a key is a query's match (E8 [paper]): a softmax over similarities.

    Queries and keys have unit length. Keys whose target is NaN are left out of the sum and have minus infinity. In 32 bits
    whatever comes in: at a temperature of 0.01 half precision cannot tell likely keys apart.
    """
    return _logits(queries, keys, temperature).masked_fill(targets.isnan(), -torch.inf).log_softmax(dim=1)


def surprise(log_probability: Float[Tensor, "pair key"], targets: Float[Tensor, "pair key"]) -> Float[Tensor, "pair"]:
    """Return how little each pair expects its matches: the cross-entropy with ``targets`` (rows sum to 1), from 0 up.

    With a single match of target 1 this is ``cross_entropy`` (InfoNCE, arXiv 1807.03748; one direction of E12).
    """
    # 0 times minus infinity, of a key that is left out, is to be 0, in the gradient too.
    finite = log_probability.masked_fill(targets.isnan(), 0.0)
    return -(targets.nan_to_num() * finite).sum(dim=1)


def sigmoid_surprise(
    queries: Float[Tensor, "pair dim"],
    keys: Float[Tensor, "key dim"],
    targets: Float[Tensor, "pair key"],
    temperature: Float[Tensor, ""] | float,
    bias: float,
) -> Float[Tensor, "pair"]:
    """Ask of each key by itself whether it matches: the sum of logistic losses over keys (SigLIP, arXiv 2303.15343).

    A control. ``bias`` is added to every similarity over temperature (the publication learns it, from -10); a key with a
    target above 0 is a match, one of 0 a contradiction, NaN is left out.
    """
    sign = targets.nan_to_num().sign() * 2 - 1
    logits = _logits(queries, keys, temperature) + bias
    return -functional.logsigmoid(sign * logits).masked_fill(targets.isnan(), 0.0).sum(dim=1)


def _logits(queries: Tensor, keys: Tensor, temperature: Float[Tensor, ""] | float) -> Float[Tensor, "pair key"]:
    # Autocast would take the product back to half precision.
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ keys.float().T / temperature
