"""Targets of the contrastive loss: positive, negative and ignored keys of each pair."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from okrcell.settings import Settings


class TargetSettings(Settings):
    """Definition of positives and negatives (method 5.7, row 3)."""

    same_type: Literal["own", "masked", "shared"] = "own"
    """Other pairs of the same cell type. own: negatives, as in the paper. masked: ignored. shared: positives of equal weight
    ("several positives with equal share")."""
    related_types: Literal["negative", "masked"] = "negative"
    """Pairs whose type is an ancestor or a descendant ("T cell" and "CD8 T cell"). negative: negatives (paper). masked:
    ignored. Siblings are always negatives."""


class PairEmbeddings(NamedTuple):
    """Cell and text embeddings of pairs, of unit length, with their cell types."""

    cells: Float[Tensor, "pair dim"]
    texts: Float[Tensor, "pair dim"]
    cell_type: Int[Tensor, "pair"]
    """Index of the cell type; -1 if the type is unknown or not trusted: such a pair is ignored by all other pairs."""

    def mask_untrusted(self, trusted: Bool[Tensor, "pair"]) -> "PairEmbeddings":
        """Set the cell type of pairs outside ``trusted`` (bool, pair) to -1."""
        return self._replace(cell_type=self.cell_type.masked_fill(~trusted, -1))

    def concat(self, appended: "PairEmbeddings") -> "PairEmbeddings":
        """Append ``appended``."""
        return PairEmbeddings(*(torch.cat([first, second]) for first, second in zip(self, appended, strict=True)))


def contrastive_targets(
    cell_type: Int[Tensor, "pair"],
    key_type: Int[Tensor, "key"],
    settings: TargetSettings,
    related: Bool[Tensor, "type type"] | None = None,
) -> Float[Tensor, "pair key"]:
    """Target of each key for each pair.

    Key p is the own partner of pair p, whatever its type; there may be more keys than pairs (those of a memory bank). Other
    pairs ignore keys of type -1. ``related[a, b]`` is true where types a and b are equal or one is an ancestor of the other.

    Returns
    -------
    Target probability of a key (rows sum to 1), 0 for a negative, NaN for an ignored key.
    """
    is_own = torch.eye(len(cell_type), len(key_type), dtype=torch.bool, device=cell_type.device)
    is_same_type = is_own | (cell_type[:, None] == key_type[None, :])
    ignored = (key_type < 0)[None, :] & ~is_own
    match settings.same_type:
        case "own":
            targets = is_own.float()
        case "masked":
            targets, ignored = is_own.float(), ignored | (is_same_type & ~is_own)
        case "shared":
            targets = (is_same_type & ~ignored).float()
            targets = targets / targets.sum(dim=1, keepdim=True)
    if settings.related_types == "masked" and related is not None:
        labeled = (cell_type >= 0)[:, None]
        ignored = ignored | (related[cell_type][:, key_type] & labeled & ~is_same_type)
    return targets.masked_fill(ignored, torch.nan)
