"""Generative losses: expression of hidden genes (GEP, GEPC) and cell type (CLS)."""

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


def expression_loss(
    predicted: Float[Tensor, "cell token"],
    value: Int[Tensor, "cell token"],
    masked: Bool[Tensor, "cell token"],
    n_bins: int,
) -> Float[Tensor, ""]:
    """Mean squared error between value bins over the masked genes, in units of the whole range (E5, E6).

    The paper's formula is lost; squared error on the bin number is our reconstruction, as in scGPT. Bin numbers are divided
    by ``n_bins``, so that the loss is near 1/12 at chance whatever the number of bins. 0 if nothing is masked.
    """
    error = (predicted - value / n_bins) ** 2
    return (error * masked).sum() / masked.sum().clamp_min(1)


def cell_type_loss(logits: Float[Tensor, "cell type"], cell_type: Int[Tensor, "cell"]) -> Float[Tensor, ""]:
    """Cross-entropy of the cell type (CLS), over the cells of known type (0 or above); 0 if there are none.

    The paper mentions CLS once and does not define it; our reconstruction is scGPT's. Its weight is 0 by default: labels of
    types that are later called unseen would invalidate the zero-shot claim (method 4).
    """
    labeled = cell_type >= 0
    total = functional.cross_entropy(logits[labeled], cell_type[labeled], reduction="sum")
    return total / labeled.sum().clamp_min(1)
