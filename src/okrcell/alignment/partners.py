"""Targets of the contrastive loss: positive, negative and ignored keys of each pair."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from okrcell.settings import Settings


class PartnerSettings(Settings):
    """Definition of positives and negatives (method 5.7, row 3)."""

    alike: Literal["own", "masked", "shared"] = "own"
    """Other pairs of the same cell type. own: negatives, as in the paper. masked: ignored. shared: positives of equal weight
    ("several positives with equal share")."""
    kin: Literal["negative", "masked"] = "negative"
    """Pairs whose type is an ancestor or a descendant ("T cell" and "CD8 T cell"). negative: negatives (paper). masked:
    ignored. Siblings are always negatives."""


class Vectors(NamedTuple):
    """Cell and text embeddings of pairs, of unit length, with their cell types."""

    cells: Float[Tensor, "pair dim"]
    texts: Float[Tensor, "pair dim"]
    cell_type: Int[Tensor, "pair"]
    """Index of the cell type; -1 if the type is unknown or not trusted: such a pair is ignored by all other pairs."""

    def believed(self, where: Bool[Tensor, "pair"]) -> "Vectors":
        """Set the cell type of pairs outside ``where`` (bool, pair) to -1."""
        return self._replace(cell_type=self.cell_type.masked_fill(~where, -1))

    def followed_by(self, others: "Vectors") -> "Vectors":
        """Append ``others``."""
        return Vectors(*(torch.cat([mine, other]) for mine, other in zip(self, others, strict=True)))


def partners(
    cell_type: Int[Tensor, "pair"],
    key_type: Int[Tensor, "key"],
    settings: PartnerSettings,
    kin: Bool[Tensor, "type type"] | None = None,
) -> Float[Tensor, "pair key"]:
    """Target of each key for each pair.

    Key p is the own partner of pair p, whatever its type; there may be more keys than pairs (those of a memory bank). Other
    pairs ignore keys of type -1. ``kin[a, b]`` is true where types a and b are equal or one is an ancestor of the other.

    Returns
    -------
    Target probability of a key (rows sum to 1), 0 for a negative, NaN for an ignored key.
    """
    own = torch.eye(len(cell_type), len(key_type), dtype=torch.bool, device=cell_type.device)
    same = own | (cell_type[:, None] == key_type[None, :])
    silent = (key_type < 0)[None, :] & ~own
    match settings.alike:
        case "own":
            targets = own.float()
        case "masked":
            targets, silent = own.float(), silent | (same & ~own)
        case "shared":
            targets = (same & ~silent).float()
            targets = targets / targets.sum(dim=1, keepdim=True)
    if settings.kin == "masked" and kin is not None:
        known = (cell_type >= 0)[:, None]
        silent = silent | (kin[cell_type][:, key_type] & known & ~same)
    return targets.masked_fill(silent, torch.nan)
