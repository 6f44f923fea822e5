"""Guess what was hidden: the expression of genes, the name of the cell."""

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


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


def cell_type_loss(logits: Float[Tensor, "cell kind"], cell_type: Int[Tensor, "cell"]) -> Float[Tensor, ""]:
    """Cross-entropy of naming each cell's type (CLS), over the cells whose type is known (0 or above); 0 if none is.

    The paper names CLS once and does not define it; our reconstruction is scGPT's. Its weight is 0 by default: labels of
    types that are later called unseen would empty the zero-shot claim (method 4).
    """
    known = cell_type >= 0
    total = functional.cross_entropy(logits[known], cell_type[known], reduction="sum")
    return total / known.sum().clamp_min(1)
