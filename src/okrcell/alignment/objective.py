"""Training objective: weighted sum of named losses."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from okrcell.alignment.complementary import contradiction
from okrcell.alignment.contrastive import matching, sigmoid_surprise, surprise
from okrcell.alignment.curriculum import CurriculumSettings, sample_weights
from okrcell.alignment.generative import cell_type_loss, expression_loss
from okrcell.alignment.memory_bank import BankSettings
from okrcell.alignment.partners import PartnerSettings, Vectors, partners
from okrcell.alignment.presets import differing, with_preset
from okrcell.alignment.reliability import ReliabilitySettings
from okrcell.settings import Settings


class ObjectiveSettings(Settings):
    """Losses and their weights; a preset supplies the values that are not given."""

    preset: Literal["control", "faithful", "improved"] = "control"
    """control: InfoNCE within the batch, every pair with weight 1. faithful: the paper's robust objective, as far as it is
    known. improved: with our corrections (docs/method.md)."""
    alignment: Literal["softmax", "sigmoid", "none"] = "softmax"
    """softmax: InfoNCE (E12). sigmoid: SigLIP, a control. none: cells only (the paper's "scGPT")."""
    sigmoid_bias: float = -10.0
    """Bias of SigLIP; the initial value of its authors."""
    partners: PartnerSettings = PartnerSettings()
    bank: BankSettings = BankSettings()
    reliability: ReliabilitySettings = ReliabilitySettings()
    curriculum: CurriculumSettings = CurriculumSettings()
    negative_weight: Annotated[float, Field(ge=0)] = 5.0
    """lambda: weight of the complementary part [paper: 5]. 0: without it."""
    omega: Annotated[float, Field(ge=0, le=1)] | Literal["adaptive"] = 0.5
    """Exponent of E13, larger is more tolerant of noise (our reconstruction). adaptive: 1 - W, as in CRCL."""
    gene_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of GEP (E21; the paper gives no weights: 1 is our reconstruction)."""
    cell_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of GEPC."""
    type_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of CLS, cell type classification; 0 because it would invalidate the zero-shot claim (method 4)."""
    alignment_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the contrastive part."""

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, dict) else values

    @property
    def judges(self) -> bool:
        """Whether pairs have reliability weights."""
        return self.alignment != "none" and self.reliability.use

    @property
    def deviations(self) -> dict[str, Any]:
        """Settings that differ from the preset's, by name; results must state them (method 7)."""
        return differing(self.model_dump(), type(self)(preset=self.preset).model_dump())


class Loss(NamedTuple):
    """Parts of the objective; the field names are the columns of the log."""

    total: Float[Tensor, ""]
    gene: Float[Tensor, ""]
    """GEP: hidden genes from their own states."""
    cell: Float[Tensor, ""]
    """GEPC: hidden genes from the cell state."""
    cell_type: Float[Tensor, ""]
    """CLS: the cell type from the cell state."""
    cell_to_text: Float[Tensor, ""]
    """Cross-entropy of cells against texts, weighted by reliability."""
    text_to_cell: Float[Tensor, ""]
    contradiction: Float[Tensor, ""]
    """Complementary loss, both directions, before its weight."""
    trust: Float[Tensor, ""]
    """Mean W of the batch's pairs; not part of the sum."""


@dataclass(frozen=True)
class Guess:
    """Predicted and true expression of hidden genes."""

    by_gene: Float[Tensor, "cell hidden"]
    by_cell: Float[Tensor, "cell hidden"]
    value: Int[Tensor, "cell hidden"]
    hidden: Bool[Tensor, "cell hidden"]
    """False for padding."""
    bins: int
    type_logits: Float[Tensor, "cell type"] | None = None
    """Logits of CLS; None if it has no weight."""
    share: Float[Tensor, ""] | float = 1.0
    """Number of hidden genes on this device over the mean of all devices; the mean loss over devices then weights all hidden
    genes equally."""
    type_share: Float[Tensor, ""] | float = 1.0
    """The same for cells of known type."""


class Alignment(NamedTuple):
    """Contrastive losses, mean over pairs."""

    cell_to_text: Float[Tensor, ""]
    text_to_cell: Float[Tensor, ""]
    contradiction: Float[Tensor, ""]


def align(
    pairs: Vectors,
    keys: Vectors,
    trust: Float[Tensor, "pair"],
    temperature: Float[Tensor, ""],
    progress: float,
    kin: Bool[Tensor, "type type"] | None,
    settings: ObjectiveSettings,
) -> Alignment:
    """Robust contrastive loss of cells and texts, mean over the pairs (E12 to E20; our reconstruction).

    Parameters
    ----------
    keys
        Keys of the pairs: first their own partners in the same order, then those of a bank.
    trust
        W of each pair, in [0, 1], without gradient.
    progress
        u, the fraction of all steps that is done.
    kin
        Pairs of cell types of which one is an ancestor of the other; see `partners`.
    """
    targets = partners(pairs.cell_type, keys.cell_type, settings.partners, kin)
    nothing = pairs.cells.sum() * 0
    if settings.alignment == "sigmoid":
        to_text, to_cell = (
            sigmoid_surprise(one, other, targets, temperature, settings.sigmoid_bias)
            for one, other in ((pairs.cells, keys.texts), (pairs.texts, keys.cells))
        )
        return Alignment((trust * to_text).mean(), (trust * to_cell).mean(), nothing)
    text_probability = matching(pairs.cells, keys.texts, targets, temperature)
    cell_probability = matching(pairs.texts, keys.cells, targets, temperature)
    to_text, to_cell = surprise(text_probability, targets), surprise(cell_probability, targets)
    difficulty = ((to_text + to_cell) / 2).detach()
    weights = sample_weights(difficulty, trust, progress, len(keys.cell_type), settings.curriculum)
    pull = trust * weights if settings.curriculum.weigh == "whole" else trust
    against = nothing
    if settings.negative_weight > 0:
        omega = 1 - trust if settings.omega == "adaptive" else settings.omega
        both = contradiction(text_probability, targets, omega) + contradiction(cell_probability, targets, omega)
        against = (weights * both).mean()
    return Alignment((pull * to_text).mean(), (pull * to_cell).mean(), against)


def objective(
    guess: Guess,
    cell_type: Int[Tensor, "cell"],
    aligned: Alignment | None,
    trust: Float[Tensor, "pair"],
    settings: ObjectiveSettings,
) -> Loss:
    """Weighted sum of the losses (E21; the sum is the paper's, the weights are our reconstruction).

    ``cell_type`` covers all cells, -1 where unknown. ``aligned`` and ``trust`` cover the cells with a text; ``aligned`` is
    None if there are none.
    """
    gene = guess.share * expression_loss(guess.by_gene, guess.value, guess.hidden, guess.bins)
    cell = guess.share * expression_loss(guess.by_cell, guess.value, guess.hidden, guess.bins)
    nothing = gene.detach() * 0
    named = nothing
    if guess.type_logits is not None:
        named = guess.type_share * cell_type_loss(guess.type_logits, cell_type)
    to_text, to_cell, against = aligned or Alignment(nothing, nothing, nothing)
    total = (
        settings.gene_weight * gene
        + settings.cell_weight * cell
        + settings.type_weight * named
        + settings.alignment_weight * (to_text + to_cell + settings.negative_weight * against)
    )
    mean_trust = trust.mean() if len(trust) else nothing
    return Loss(total, gene, cell, named, to_text, to_cell, against, mean_trust)
