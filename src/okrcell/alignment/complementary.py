"""Complementary contrastive loss, which learns from negatives (E13)."""

import torch
from jaxtyping import Float
from torch import Tensor


def complementary_loss(
    log_probs: Float[Tensor, "pair key"],
    targets: Float[Tensor, "pair key"],
    omega: Float[Tensor, "pair"] | float,
) -> Float[Tensor, "pair"]:
    """Complementary loss of each pair: the probability given to its negatives (E13, one direction).

    "This cell does not match that text" is true far more often than "this cell matches this text", so negatives are
    informative even where pairs are wrong. tan stretches the probabilities of hard negatives; the sum over negatives is
    divided by the sum over all keys to the power ``omega``.

    Parameters
    ----------
    omega
        In [0, 1], one number or one per pair; larger is more tolerant of noise. At 1 the loss is bounded by 1 and symmetric,
        with weak gradients.

    Returns
    -------
    About 1 at chance, 0 if negatives have no probability, at most 1.56. Keys with NaN target are ignored.

    Notes
    -----
    Our reconstruction: the paper's formula is lost. It is the loss of CRCL (arXiv 2310.17468), which the paper cites, with
    the bank's keys added.
    """
    stretched = log_probs.exp().tan()
    negative = (stretched * (targets == 0)).sum(dim=1)
    # The sum is near 1.56 for a confident match and near 1 for many keys: never 0.
    return negative / stretched.sum(dim=1).clamp_min(torch.finfo(stretched.dtype).tiny) ** omega
