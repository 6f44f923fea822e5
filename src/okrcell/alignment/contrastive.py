"""Pull a cell towards its own text, away from the others."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def info_nce(
    queries: Float[Tensor, "pair dim"],
    keys: Float[Tensor, "key dim"],
    targets: Float[Tensor, "pair key"],
    temperature: Float[Tensor, ""] | float,
    weights: Float[Tensor, "pair"] | None = None,
) -> Float[Tensor, ""]:
    """Pull each query towards its target keys, in proportion to how far we trust the pair.

    ``targets[p, k]`` is the probability that key ``k`` matches query ``p`` (rows sum to 1) and ``weights[p]`` the trust
    in pair ``p``, in [0, 1]. Queries and keys have unit length. Keys whose target is NaN are left out: neither match nor
    negative. With targets of one and full trust this is ``cross_entropy`` (InfoNCE, arXiv 1807.03748; E8, E12). Returns
    the mean over the trusted pairs, 0 if there are none.
    """
    ignored = targets.isnan()
    logits = (queries @ keys.T / temperature).masked_fill(ignored, -torch.inf)
    log_probability = logits.log_softmax(dim=1).masked_fill(ignored, 0.0)
    loss = -(targets.nan_to_num() * log_probability).sum(dim=1)
    if weights is None:
        return loss.mean()
    return (weights * loss).sum() / weights.sum().clamp_min(1e-6)


def one_partner(pairs: int, device: torch.device | None = None) -> Float[Tensor, "pair key"]:
    """Say that each pair's only match is its own partner; every other text is a negative, as in the paper."""
    return torch.eye(pairs, device=device)


def shared_partners(cell_type: Int[Tensor, "pair"]) -> Float[Tensor, "pair key"]:
    """Say that pairs of one cell type match one another, each with an equal share.

    Many cells share one text, so plain InfoNCE pushes cells from their own description (method 5.7, row 3; "several
    positives with equal share").
    """
    same = (cell_type[:, None] == cell_type[None, :]).float()
    return same / same.sum(dim=1, keepdim=True)


def masked_partners(cell_type: Int[Tensor, "pair"]) -> Float[Tensor, "pair key"]:
    """Say that each pair's match is its own partner, and that others of its cell type are no negatives (row 3)."""
    same = cell_type[:, None] == cell_type[None, :]
    own = torch.eye(len(cell_type), device=cell_type.device)
    return own.masked_fill(same & (own == 0), torch.nan)
