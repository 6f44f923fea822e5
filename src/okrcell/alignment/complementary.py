"""Learn from what does not match."""

import torch
from jaxtyping import Float
from torch import Tensor


def contradiction(
    log_probability: Float[Tensor, "pair key"],
    targets: Float[Tensor, "pair key"],
    omega: Float[Tensor, "pair"] | float,
) -> Float[Tensor, "pair"]:
    """Return how far each pair believes in keys that contradict it (E13, one direction).

    "This cell does not match that text" is true far more often than "this cell matches this text", so it teaches even
    where pairs are wrong. tan stretches the probabilities of hard negatives; the sum over negatives is divided by the
    sum over all keys to the power ``omega``.

    Parameters
    ----------
    omega
        In [0, 1], one number or one a pair; larger is more tolerant of noise. At 1 the loss is bounded by 1 and symmetric,
        with weak gradients.

    Returns
    -------
    About 1 at chance, 0 where no probability is left to negatives, at most 1.56. Keys of NaN target count for nothing.

    Notes
    -----
    Our reconstruction: the paper's formula is lost. It is the loss of CRCL (arXiv 2310.17468), which the paper cites, with
    the bank's keys added.
    """
    stretched = log_probability.exp().tan()
    negative = (stretched * (targets == 0)).sum(dim=1)
    # A pair that is sure of its match has a sum near 1.56, one with many keys a sum near 1: it is never 0.
    return negative / stretched.sum(dim=1).clamp_min(torch.finfo(stretched.dtype).tiny) ** omega
