"""Which text fits which cell: a pair's own, others that say the same, and those that contradict it."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from okrcell.settings import Settings


class PartnerSettings(Settings):
    """What counts as a match and what as a contradiction (method 5.7, row 3)."""

    alike: Literal["own", "masked", "shared"] = "own"
    """What pairs of one cell type are to one another. own: contradictions, as in the paper. masked: neither match nor
    contradiction. shared: matches, each with an equal share ("several positives with equal share")."""
    kin: Literal["negative", "masked"] = "negative"
    """What pairs are to one another of which one's type is an ancestor of the other's ("T cell" and "CD8 T cell").
    negative: contradictions (paper). masked: neither. Siblings always are contradictions."""


class Vectors(NamedTuple):
    """Both sides of some pairs, of unit length, with what tells whether two of them may say the same."""

    cells: Float[Tensor, "pair dim"]
    texts: Float[Tensor, "pair dim"]
    cell_type: Int[Tensor, "pair"]
    """A number for each cell type; -1 for a pair that has no say about others, since its type is not known or not believed."""

    def believed(self, where: Bool[Tensor, "pair"]) -> "Vectors":
        """Leave to the other pairs no say."""
        return self._replace(cell_type=self.cell_type.masked_fill(~where, -1))

    def followed_by(self, others: "Vectors") -> "Vectors":
        """Put others behind these."""
        return Vectors(*(torch.cat([mine, other]) for mine, other in zip(self, others, strict=True)))


def partners(
    cell_type: Int[Tensor, "pair"],
    key_type: Int[Tensor, "key"],
    settings: PartnerSettings,
    kin: Bool[Tensor, "kind kind"] | None = None,
) -> Float[Tensor, "pair key"]:
    """Say of each key what it is to each pair.

    Key p is the own partner of pair p, whatever its type; there may be more keys than pairs (a memory bank's). Keys of type -1
    are neither match nor contradiction to other pairs. ``kin[a, b]`` is true where one of the types a and b is the other
    or its ancestor.

    Returns
    -------
    The share of a pair's match that a key has (rows sum to 1), 0 for a contradiction, NaN for neither.
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
