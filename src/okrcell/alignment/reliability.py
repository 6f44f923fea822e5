"""How far a pair can be trusted: cell and text must choose each other."""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from okrcell.settings import Settings


class ReliabilitySettings(Settings):
    """Trust in pairs (method 5.2 and 5.3)."""

    use: bool = True
    """False: every pair is trusted fully."""
    judge: Literal["model", "twin"] = "model"
    """Whose vectors are asked: the model's of this step, or its twin's, which are steadier (ours)."""
    symmetry: Literal["geometric", "mean", "harmonic", "minimum"] = "geometric"
    """How the two directions are joined (E9; our reconstruction. mean: as the code of CRCL, arXiv 2310.17468)."""
    sharpness: Annotated[float, Field(gt=0)] | Literal["temperature"] = 0.05
    """sigma: what similarities are divided by (our reconstruction), or the model's own temperature."""
    duplicates: Literal["ignore", "correct"] = "ignore"
    """What becomes of pairs of one cell type in a batch. ignore: they compete, so that "common" looks like "unreliable"
    (paper, as far as is known). correct: they count as one (method 5.2)."""
    trust: Literal["symmetry", "bet"] = "symmetry"
    """W from r. symmetry: r itself (E11). bet: 1 / (1 + (even / r)^power), where ``even`` is some times a blind guess among the
    distinct cell types of the batch (ours): nearly 1 for a pair that beats a blind guess by far, though it be hard, and
    nearly 0 below; r itself mutes hard types along with wrong pairs."""
    chance: Annotated[float, Field(gt=0)] = 8.0
    """With ``bet``: the r at which trust is a half, in multiples of a blind guess; a half at most."""
    power: Annotated[float, Field(gt=0)] = 8.0
    """With ``bet``: how steeply trust rises there."""
    keys: Literal["all", "trusted"] = "all"
    """Which pairs others are compared with. all: every one (paper). trusted: a pair with a trust below a half is neither match
    nor contradiction to others, in the batch and in the banks (ours): its label may be another cell's."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Epochs with full trust in every pair (`improved`: 1, method 5.7, row 2)."""
    wake: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Trust sleeps, and every pair has full trust, until so large a share of a batch would have a trust of a half or more;
    once awake it stays so. 0: awake when the warm-up is over (paper). A model that knows little yet trusts only what it
    knows, the commonest type, and then would learn nothing else (ours)."""
    stability: Literal["threshold", "smooth", "none"] = "threshold"
    """threshold: a pair whose r spreads over epochs beyond the cutoff loses its trust (E10). smooth: each pair does, the
    more it spreads beyond the mean."""
    cutoff: Annotated[float, Field(ge=0)] = 3.0
    """alpha_np: standard deviations above the mean spread [paper]."""
    combine: Literal["product", "minimum", "mean"] = "product"
    """How stability joins symmetry (E11; product is our reconstruction)."""
    recorded_from: Annotated[int, Field(ge=1)] = 2
    """First epoch whose r is recorded [paper]."""
    stable_after: Annotated[int, Field(ge=1)] = 3
    """Stability has a say in epochs after this one [paper]."""
    visits_per_epoch: Annotated[float, Field(gt=0)] = 1.0
    """Visits of a pair, on average, that make an epoch of the table: small corpora are seen often, large ones once
    (method 5.3)."""


@torch.no_grad()
def agreement(
    cells: Float[Tensor, "pair dim"],
    texts: Float[Tensor, "pair dim"],
    same: Bool[Tensor, "pair pair"],
    sharpness: Float[Tensor, ""] | float,
    settings: ReliabilitySettings,
) -> Float[Tensor, "pair"]:
    """Return r of each pair: the probability that it chose rightly both ways, in [0, 1] (E9, our reconstruction).

    ``same`` says which pairs are of one cell type. Only the batch is asked: what is in a bank has no partner there. No
    gradient.
    """
    with torch.autocast(cells.device.type, enabled=False):
        similarity = cells.float() @ texts.float().T / sharpness
    if settings.duplicates == "ignore":
        to_text, to_cell = similarity.softmax(dim=1).diagonal(), similarity.softmax(dim=0).diagonal()
    else:
        alike = same.sum(dim=1).float()
        # Each text counts by one over its likes, so that a softmax over them is one over distinct cell types.
        to_text = ((similarity - alike.log()).softmax(dim=1) * same).sum(dim=1)
        to_cell = similarity.softmax(dim=0).diagonal() * alike
    return _joined(to_text.clamp(0, 1), to_cell.clamp(0, 1), settings.symmetry)


@torch.no_grad()
def trusted(
    agreed: Float[Tensor, "pair"],
    stable: Float[Tensor, "pair"],
    same: Bool[Tensor, "pair pair"],
    epoch: int,
    settings: ReliabilitySettings,
) -> Float[Tensor, "pair"]:
    """Return W, the trust in each pair, in [0, 1] (E11).

    Parameters
    ----------
    agreed
        r of each pair, or the mean of its records.
    stable
        v of each pair, in [0, 1]; has a say only in epochs after ``settings.stable_after``.
    epoch
        Counted from 1.
    """
    if not settings.use or epoch <= settings.warmup:
        return torch.ones_like(agreed)
    trust = agreed
    if settings.trust == "bet":
        kinds = distinct(same)
        if kinds < 2:
            # There is nothing that the texts could be mistaken for.
            return torch.ones_like(agreed)
        even = (settings.chance / kinds).clamp_max(0.5)
        # As a logistic function of logarithms, so that no power overflows.
        trust = torch.sigmoid(settings.power * (agreed.clamp_min(1e-12) / even).log())
    if settings.stability == "none" or epoch <= settings.stable_after:
        return trust
    match settings.combine:
        case "product":
            return trust * stable
        case "minimum":
            return torch.minimum(trust, stable)
        case "mean":
            return (trust + stable) / 2


def distinct(same: Bool[Tensor, "pair pair"]) -> Float[Tensor, ""]:
    """Count the distinct cell types of a batch; at least 1."""
    # Thirds do not add up to a whole in 32 bits.
    return (1 / same.sum(dim=1).clamp_min(1)).sum().round().clamp_min(1)


def _joined(one: Tensor, other: Tensor, how: Literal["geometric", "mean", "harmonic", "minimum"]) -> Tensor:
    match how:
        case "geometric":
            return (one * other).sqrt()
        case "mean":
            return (one + other) / 2
        case "harmonic":
            return 2 * one * other / (one + other).clamp_min(1e-12)
        case "minimum":
            return torch.minimum(one, other)
