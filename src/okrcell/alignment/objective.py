"""The sum that training lowers, with named parts."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from okrcell.alignment.contrastive import info_nce, masked_partners, one_partner, shared_partners
from okrcell.alignment.generative import expression_loss
from okrcell.settings import Settings


class ObjectiveSettings(Settings):
    """Which losses have how much say (E21; the paper gives no weights: all 1 is our reconstruction)."""

    alignment: Literal["info_nce", "none"] = "info_nce"
    """info_nce: the symmetric control objective. none: cells only (the paper's "scGPT")."""
    partners: Literal["own", "masked", "shared"] = "shared"
    """Who matches whom. own: only the pair's own text (the paper). masked: other pairs of the cell type are left out.
    shared: they match too (method 5.7, row 3)."""
    gene_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of GEP."""
    cell_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of GEPC."""
    alignment_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the cell-text part."""


class Loss(NamedTuple):
    """The parts of the objective; the names are the columns of the log."""

    total: Float[Tensor, ""]
    gene: Float[Tensor, ""]
    """GEP: hidden genes from their own states."""
    cell: Float[Tensor, ""]
    """GEPC: hidden genes from the cell's vector."""
    cell_to_text: Float[Tensor, ""]
    text_to_cell: Float[Tensor, ""]


@dataclass(frozen=True)
class Guess:
    """Hidden expression and what the model said of it."""

    by_gene: Float[Tensor, "cell hidden"]
    by_cell: Float[Tensor, "cell hidden"]
    value: Int[Tensor, "cell hidden"]
    hidden: Bool[Tensor, "cell hidden"]
    """False for padding."""
    bins: int


def objective(
    cells: Float[Tensor, "pair dim"],
    texts: Float[Tensor, "pair dim"],
    cell_type: Int[Tensor, "pair"],
    trust: Float[Tensor, "pair"],
    temperature: Float[Tensor, ""],
    guess: Guess,
    settings: ObjectiveSettings,
) -> Loss:
    """Add up the parts.

    ``cells`` and ``texts`` have unit length; ``cell_type`` tells which pairs mean the same; ``trust`` is 0 for a cell of
    which nothing is known, which then only takes part in the generative losses, neither as query nor as key.
    """
    nothing = cells.sum() * 0
    cell_to_text = text_to_cell = nothing
    gene = expression_loss(guess.by_gene, guess.value, guess.hidden, guess.bins)
    cell = expression_loss(guess.by_cell, guess.value, guess.hidden, guess.bins)
    paired = trust > 0
    if settings.alignment == "info_nce" and bool(paired.any()):
        cells, texts, cell_type, trust = cells[paired], texts[paired], cell_type[paired], trust[paired]
        targets = {
            "own": lambda: one_partner(len(cells), cells.device),
            "masked": lambda: masked_partners(cell_type),
            "shared": lambda: shared_partners(cell_type),
        }[settings.partners]()
        cell_to_text = info_nce(cells, texts, targets, temperature, trust)
        text_to_cell = info_nce(texts, cells, targets, temperature, trust)
    total = (
        settings.gene_weight * gene
        + settings.cell_weight * cell
        + settings.alignment_weight * (cell_to_text + text_to_cell)
    )
    return Loss(total, gene, cell, cell_to_text, text_to_cell)
