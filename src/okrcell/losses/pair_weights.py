"""Pair reliability: mutual match probability (E9) and weight (E11)."""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from okrcell.settings import Settings


class ReliabilitySettings(Settings):
    """Reliability weights of pairs (method 5.2 and 5.3)."""

    use: bool = True
    """False: every pair has weight 1."""
    embeddings: Literal["model", "twin"] = "model"
    """Embeddings that r is computed from: the model's of this step, or its EMA copy's, which vary less (ours)."""
    symmetry: Literal["geometric", "mean", "harmonic", "minimum"] = "geometric"
    """Combination of the two directions (E9; our reconstruction. mean: as the code of CRCL, arXiv 2310.17468)."""
    sharpness: Annotated[float, Field(gt=0)] | Literal["temperature"] = 0.05
    """sigma: divisor of the similarities (our reconstruction), or the model's own temperature."""
    duplicates: Literal["ignore", "correct"] = "ignore"
    """Pairs of one cell type in a batch. ignore: they compete, so that "common" looks like "unreliable"
    (paper, as far as is known). correct: they count as one (method 5.2)."""
    weighting: Literal["symmetry", "bet"] = "symmetry"
    """W as a function of r. symmetry: r itself (E11). bet: 1 / (1 + (even / r)^power), where ``even`` is ``chance_multiple`` times the
    probability of a random guess among the distinct cell types of the batch (ours). It is near 1 for a pair far above
    chance, even a hard one, and near 0 below; r itself down-weights hard types along with wrong pairs."""
    chance_multiple: Annotated[float, Field(gt=0)] = 8.0
    """With ``bet``: the r at which W is 0.5, in multiples of a random guess; at most 0.5."""
    steepness: Annotated[float, Field(gt=0)] = 8.0
    """With ``bet``: steepness of W at that point."""
    key_filter: Literal["all", "trusted"] = "all"
    """Pairs that serve as keys of other pairs. all: every pair (paper). trusted: other pairs ignore a pair with W below 0.5,
    in the batch and in the bank (ours): its label may be another cell's."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Epochs in which every pair has weight 1 (`improved`: 1, method 5.7, row 2)."""
    min_reliable_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Reliability weights are 1 until at least this fraction of a batch has weight >= 0.5; from then on they are always used.
    0: used as soon as the warm-up is over (paper). A model early in training gives weight only to the commonest type, and
    would then learn nothing else (ours)."""
    stability: Literal["threshold", "smooth", "none"] = "threshold"
    """threshold: a pair whose r varies over epochs beyond the cutoff is down-weighted (E10). smooth: every pair is, the more
    its r varies beyond the mean."""
    cutoff: Annotated[float, Field(ge=0)] = 3.0
    """alpha_np: standard deviations above the mean spread [paper]."""
    combine: Literal["product", "minimum", "mean"] = "product"
    """Combination of stability and W (E11; product is our reconstruction)."""
    recorded_from: Annotated[int, Field(ge=1)] = 2
    """First epoch whose r is recorded [paper]."""
    stable_after: Annotated[int, Field(ge=1)] = 3
    """Stability is used in epochs after this one [paper]."""
    visits_per_epoch: Annotated[float, Field(gt=0)] = 1.0
    """Mean number of visits per pair that make an epoch of the reliability table: small corpora are seen many times, large
    ones once (method 5.3)."""


@torch.no_grad()
def match_probability(
    cells: Float[Tensor, "pair dim"],
    texts: Float[Tensor, "pair dim"],
    same_type: Bool[Tensor, "pair pair"],
    sharpness: Float[Tensor, ""] | float,
    settings: ReliabilitySettings,
) -> Float[Tensor, "pair"]:
    """Return r of each pair: the probability that cell and text choose each other, in [0, 1] (E9, our reconstruction).

    ``same_type`` marks pairs of one cell type. Only pairs of the batch are compared: an entry of a bank has no partner there. No
    gradient.
    """
    with torch.autocast(cells.device.type, enabled=False):
        similarity = cells.float() @ texts.float().T / sharpness
    if settings.duplicates == "ignore":
        to_text, to_cell = similarity.softmax(dim=1).diagonal(), similarity.softmax(dim=0).diagonal()
    else:
        n_same_type = same_type.sum(dim=1).float()
        # A text is weighted by 1 / (texts of its type), so that the softmax is one over distinct cell types.
        to_text = ((similarity - n_same_type.log()).softmax(dim=1) * same_type).sum(dim=1)
        to_cell = similarity.softmax(dim=0).diagonal() * n_same_type
    return _combine_directions(to_text.clamp(0, 1), to_cell.clamp(0, 1), settings.symmetry)


@torch.no_grad()
def reliability_weights(
    match_prob: Float[Tensor, "pair"],
    stability: Float[Tensor, "pair"],
    same_type: Bool[Tensor, "pair pair"],
    epoch: int,
    settings: ReliabilitySettings,
) -> Float[Tensor, "pair"]:
    """Return W, the reliability weight of each pair, in [0, 1] (E11).

    Parameters
    ----------
    match_prob
        r of each pair, or the mean of its records.
    stability
        v of each pair, in [0, 1]; used only in epochs after ``settings.stable_after``.
    epoch
        Counted from 1.
    """
    if not settings.use or epoch <= settings.warmup:
        return torch.ones_like(match_prob)
    weights = match_prob
    if settings.weighting == "bet":
        n_types = n_distinct_types(same_type)
        if n_types < 2:
            # With a single cell type no text can be confused with another.
            return torch.ones_like(match_prob)
        midpoint = (settings.chance_multiple / n_types).clamp_max(0.5)
        # As a logistic function of logarithms, so that no power overflows.
        weights = torch.sigmoid(settings.steepness * (match_prob.clamp_min(1e-12) / midpoint).log())
    if settings.stability == "none" or epoch <= settings.stable_after:
        return weights
    match settings.combine:
        case "product":
            return weights * stability
        case "minimum":
            return torch.minimum(weights, stability)
        case "mean":
            return (weights + stability) / 2


def n_distinct_types(same_type: Bool[Tensor, "pair pair"]) -> Float[Tensor, ""]:
    """Number of distinct cell types of a batch; at least 1."""
    # Fractions such as 1/3 do not sum to 1 exactly in 32 bits.
    return (1 / same_type.sum(dim=1).clamp_min(1)).sum().round().clamp_min(1)


def _combine_directions(
    to_text: Tensor, to_cell: Tensor, symmetry: Literal["geometric", "mean", "harmonic", "minimum"]
) -> Tensor:
    match symmetry:
        case "geometric":
            return (to_text * to_cell).sqrt()
        case "mean":
            return (to_text + to_cell) / 2
        case "harmonic":
            return 2 * to_text * to_cell / (to_text + to_cell).clamp_min(1e-12)
        case "minimum":
            return torch.minimum(to_text, to_cell)
