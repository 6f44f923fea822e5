"""Guess the expression that was hidden."""

from jaxtyping import Bool, Float, Int
from torch import Tensor


def expression_loss(
    predicted: Float[Tensor, "cell token"],
    value: Int[Tensor, "cell token"],
    masked: Bool[Tensor, "cell token"],
    bins: int,
) -> Float[Tensor, ""]:
    """Mean squared error between value classes over the masked genes, in units of the whole range (E5, E6).

    The paper's formula is lost; squared error on the class number is our reconstruction, as in scGPT. Classes are divided
    by ``bins``, so that the loss is near 1/12 for a blind guess whatever the number of classes. 0 if nothing is masked.
    """
    error = (predicted - value / bins) ** 2
    return (error * masked).sum() / masked.sum().clamp_min(1)
