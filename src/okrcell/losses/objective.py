"""Training objective: settings and presets, and the weighted sum of the losses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, cast

from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from okrcell.losses.contrastive import (
    PairEmbeddings,
    TargetSettings,
    complementary_loss,
    contrastive_targets,
    match_log_probs,
    siglip_loss,
    soft_cross_entropy,
)
from okrcell.losses.momentum import BankSettings
from okrcell.losses.pair_weights import CurriculumSettings, ReliabilitySettings, sample_weights
from okrcell.settings import Settings, deep_merge, rename_old_keys

Overrides = Mapping[str, Any]
"""Fields of `ObjectiveSettings` that differ from their defaults, which are the paper's."""

CONTROL: Overrides = {
    "bank": {"size": 0},
    "reliability": {"use": False},
    "curriculum": {"use": False},
    "negative_weight": 0.0,
}
IMPROVED: Overrides = {
    "partners": {"same_type": "shared", "related_types": "masked"},
    "bank": {"size": 0, "view": "full"},
    "reliability": {
        "sharpness": "temperature",
        "duplicates": "correct",
        "weighting": "logistic",
        "key_filter": "trusted",
        "warmup": 1,
        "min_reliable_fraction": 0.25,
        "stability": "smooth",
    },
    "curriculum": {"guard": "trust", "scale": "keys"},
    "omega": "adaptive",
}
PRESETS: Mapping[str, Overrides] = {"control": CONTROL, "faithful": {}, "improved": IMPROVED}

WITHOUT_BANK: Overrides = {"bank": {"size": 0}}
WITHOUT_CURRICULUM: Overrides = {"curriculum": {"use": False}}
ABLATIONS: Mapping[str, Overrides] = {
    "cell_only": {"preset": "control", "alignment": "none"},
    "siglip": {"preset": "control", "alignment": "sigmoid"},
    "info_nce": {"preset": "control"},
    "info_nce_shared": {"preset": "control", "partners": {"same_type": "shared", "related_types": "masked"}},
    "info_nce_bank": {"preset": "control", "bank": {"size": 4096}},
    "cca": {"preset": "faithful", **WITHOUT_BANK, **WITHOUT_CURRICULUM},
    "cca_cmmb": {"preset": "faithful", **WITHOUT_CURRICULUM},
    "cca_psw": {"preset": "faithful", **WITHOUT_BANK},
    "faithful": {"preset": "faithful"},
    "improved": {"preset": "improved"},
    "improved_bank": {"preset": "improved", "bank": {"size": 4096}},
}
"""Ablations (method 10): each objective that a benchmark compares, as values for `ObjectiveSettings`."""


def with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill missing ``values`` from the preset they name; the field's own validation rejects an unknown name."""
    name = values.get("preset", "control")
    if not isinstance(name, str) or name not in PRESETS:
        return dict(values)
    return deep_merge(PRESETS[name], values)


def changed_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from ``defaults``, by dotted name such as ``bank.size``."""
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            changes |= {
                f"{name}.{inner}": inner_value for inner, inner_value in changed_settings(value, defaults[name]).items()
            }
        elif value != defaults[name]:
            changes[name] = value
    return changes


def expression_loss(
    predicted: Float[Tensor, "cell token"],
    value: Int[Tensor, "cell token"] | Float[Tensor, "cell token"],
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


class ObjectiveSettings(Settings):
    """Losses and their weights; a preset supplies the values that are not given."""

    preset: Literal["control", "faithful", "improved"] = "control"
    """control: InfoNCE within the batch, every pair with weight 1. faithful: the paper's robust objective, as far as it is
    known. improved: with our corrections (docs/method.md)."""
    alignment: Literal["softmax", "sigmoid", "none"] = "softmax"
    """softmax: InfoNCE (E12). sigmoid: SigLIP, a control. none: cells only (the paper's "scGPT")."""
    sigmoid_bias: float = -10.0
    """Bias of SigLIP; the initial value of its authors."""
    partners: TargetSettings = TargetSettings()
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
    def _apply_preset(cls, values: Any) -> Any:
        return with_preset(rename_old_keys(cls, cast(dict[str, Any], values))) if isinstance(values, dict) else values

    @property
    def uses_reliability(self) -> bool:
        """Whether pairs have reliability weights."""
        return self.alignment != "none" and self.reliability.use

    @property
    def deviations(self) -> dict[str, Any]:
        """Settings that differ from the preset's, by name; results must state them (method 7)."""
        return changed_settings(self.model_dump(), type(self)(preset=self.preset).model_dump())


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
class MaskedPredictions:
    """Predicted and true expression of hidden genes."""

    gep: Float[Tensor, "cell hidden"]
    gepc: Float[Tensor, "cell hidden"]
    value: Int[Tensor, "cell hidden"] | Float[Tensor, "cell hidden"]
    hidden: Bool[Tensor, "cell hidden"]
    """False for padding."""
    n_bins: int
    type_logits: Float[Tensor, "cell type"] | None = None
    """Logits of CLS; None if it has no weight."""
    hidden_fraction: Float[Tensor, ""] | float = 1.0
    """Number of hidden genes on this device over the mean of all devices; the mean loss over devices then weights all hidden
    genes equally."""
    labeled_fraction: Float[Tensor, ""] | float = 1.0
    """The same for cells of known type."""


class ContrastiveLosses(NamedTuple):
    """Contrastive losses, mean over pairs."""

    cell_to_text: Float[Tensor, ""]
    text_to_cell: Float[Tensor, ""]
    complementary: Float[Tensor, ""]


def contrastive_loss(
    pairs: PairEmbeddings,
    keys: PairEmbeddings,
    reliability: Float[Tensor, "pair"],
    temperature: Float[Tensor, ""],
    progress: float,
    related: Bool[Tensor, "type type"] | None,
    settings: ObjectiveSettings,
) -> ContrastiveLosses:
    """Robust contrastive loss of cells and texts, mean over the pairs (E12 to E20; our reconstruction).

    Parameters
    ----------
    keys
        Keys of the pairs: first their own partners in the same order, then those of a bank.
    reliability
        W of each pair, in [0, 1], without gradient.
    progress
        u, the fraction of all steps that is done.
    related
        Pairs of cell types of which one is an ancestor of the other; see `contrastive_targets`.
    """
    targets = contrastive_targets(pairs.cell_type, keys.cell_type, settings.partners, related)
    zero = pairs.cells.sum() * 0
    if settings.alignment == "sigmoid":
        to_text, to_cell = (
            siglip_loss(queries, key_vectors, targets, temperature, settings.sigmoid_bias)
            for queries, key_vectors in ((pairs.cells, keys.texts), (pairs.texts, keys.cells))
        )
        return ContrastiveLosses((reliability * to_text).mean(), (reliability * to_cell).mean(), zero)
    text_log_probs = match_log_probs(pairs.cells, keys.texts, targets, temperature)
    cell_log_probs = match_log_probs(pairs.texts, keys.cells, targets, temperature)
    to_text, to_cell = soft_cross_entropy(text_log_probs, targets), soft_cross_entropy(cell_log_probs, targets)
    difficulty = ((to_text + to_cell) / 2).detach()
    weights = sample_weights(difficulty, reliability, progress, len(keys.cell_type), settings.curriculum)
    match_weights = reliability * weights if settings.curriculum.weigh == "whole" else reliability
    complementary = zero
    if settings.negative_weight > 0:
        omega = 1 - reliability if settings.omega == "adaptive" else settings.omega
        both_directions = complementary_loss(text_log_probs, targets, omega) + complementary_loss(
            cell_log_probs, targets, omega
        )
        complementary = (weights * both_directions).mean()
    return ContrastiveLosses((match_weights * to_text).mean(), (match_weights * to_cell).mean(), complementary)


def total_loss(
    predictions: MaskedPredictions,
    cell_type: Int[Tensor, "cell"],
    contrastive: ContrastiveLosses | None,
    reliability: Float[Tensor, "pair"],
    settings: ObjectiveSettings,
) -> Loss:
    """Weighted sum of the losses (E21; the sum is the paper's, the weights are our reconstruction).

    ``cell_type`` covers all cells, -1 where unknown. ``contrastive`` and ``reliability`` cover the cells with a text;
    ``contrastive`` is None if there are none.
    """
    gene_loss = predictions.hidden_fraction * expression_loss(
        predictions.gep, predictions.value, predictions.hidden, predictions.n_bins
    )
    cell_loss = predictions.hidden_fraction * expression_loss(
        predictions.gepc, predictions.value, predictions.hidden, predictions.n_bins
    )
    zero = gene_loss.detach() * 0
    type_loss = zero
    if predictions.type_logits is not None:
        type_loss = predictions.labeled_fraction * cell_type_loss(predictions.type_logits, cell_type)
    to_text, to_cell, complementary = contrastive or ContrastiveLosses(zero, zero, zero)
    total = (
        settings.gene_weight * gene_loss
        + settings.cell_weight * cell_loss
        + settings.type_weight * type_loss
        + settings.alignment_weight * (to_text + to_cell + settings.negative_weight * complementary)
    )
    mean_reliability = reliability.mean() if len(reliability) else zero
    return Loss(total, gene_loss, cell_loss, type_loss, to_text, to_cell, complementary, mean_reliability)
