"""Contrastive losses of pairs and keys (InfoNCE, SigLIP, complementary loss), and their targets."""

from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import AliasChoices, Field
from torch import Tensor
from torch.nn import functional

from okrcell.settings import Settings


def match_log_probs(
    queries: Float[Tensor, "pair dim"],
    keys: Float[Tensor, "key dim"],
    targets: Float[Tensor, "pair key"],
    temperature: Float[Tensor, ""] | float,
) -> Float[Tensor, "pair key"]:
    """Log probability that a key is the match of a query (E8 [paper]): log-softmax over similarities.

    Queries and keys have unit length. Keys with NaN target are excluded from the sum and have minus infinity. Computed in
    32 bits for any input: at a temperature of 0.01 half precision cannot separate likely keys.
    """
    return _logits(queries, keys, temperature).masked_fill(targets.isnan(), -torch.inf).log_softmax(dim=1)


def soft_cross_entropy(
    log_probs: Float[Tensor, "pair key"], targets: Float[Tensor, "pair key"]
) -> Float[Tensor, "pair"]:
    """Cross-entropy between match probabilities and soft targets, per pair; at least 0.

    Rows of ``targets`` sum to 1. With one positive this is InfoNCE (arXiv 1807.03748; one direction of E12).
    """
    # For excluded keys, 0 times minus infinity must be 0, in the gradient too.
    finite = log_probs.masked_fill(targets.isnan(), 0.0)
    return -(targets.nan_to_num() * finite).sum(dim=1)


def siglip_loss(
    queries: Float[Tensor, "pair dim"],
    keys: Float[Tensor, "key dim"],
    targets: Float[Tensor, "pair key"],
    temperature: Float[Tensor, ""] | float,
    bias: float,
) -> Float[Tensor, "pair"]:
    """Sum of logistic losses over keys, each classified on its own as match or not (SigLIP, arXiv 2303.15343).

    A control. ``bias`` is added to every similarity over temperature (the publication learns it, from -10). A key with a
    target above 0 is a positive, one of 0 a negative; NaN is excluded.
    """
    sign = targets.nan_to_num().sign() * 2 - 1
    logits = _logits(queries, keys, temperature) + bias
    return -functional.logsigmoid(sign * logits).masked_fill(targets.isnan(), 0.0).sum(dim=1)


def _logits(queries: Tensor, keys: Tensor, temperature: Float[Tensor, ""] | float) -> Float[Tensor, "pair key"]:
    # Autocast would compute the product in half precision.
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ keys.float().T / temperature


def complementary_loss(
    log_probs: Float[Tensor, "pair key"],
    targets: Float[Tensor, "pair key"],
    omega: Float[Tensor, "pair"] | float,
) -> Float[Tensor, "pair"]:
    """Complementary loss of each pair: the probability given to its negatives (E13, one direction).

    "This cell does not match that text" is true far more often than "this cell matches this text", so negatives are
    informative even where pairs are wrong. tan stretches the probabilities of hard negatives; the sum over negatives is
    divided by the sum over all keys to the power ``omega``.

    Parameters
    ----------
    omega
        In [0, 1], one number or one per pair; larger is more tolerant of noise. At 1 the loss is bounded by 1 and symmetric,
        with weak gradients.

    Returns
    -------
    About 1 at chance, 0 if negatives have no probability, at most 1.56. Keys with NaN target are ignored.

    Notes
    -----
    Our reconstruction: the paper's formula is lost. It is the loss of CRCL (arXiv 2310.17468), which the paper cites, with
    the bank's keys added.
    """
    stretched = log_probs.exp().tan()
    negative = (stretched * (targets == 0)).sum(dim=1)
    # The sum is near 1.56 for a confident match and near 1 for many keys: never 0.
    return negative / stretched.sum(dim=1).clamp_min(torch.finfo(stretched.dtype).tiny) ** omega


class TargetSettings(Settings):
    """Definition of positives and negatives (method 5.7, row 3)."""

    same_type: Annotated[
        Literal["own", "masked", "shared"], Field(validation_alias=AliasChoices("same_type", "alike"))
    ] = "own"
    """Other pairs of the same cell type. own: negatives, as in the paper. masked: ignored. shared: positives of equal weight
    ("several positives with equal share")."""
    related_types: Annotated[
        Literal["negative", "masked"], Field(validation_alias=AliasChoices("related_types", "kin"))
    ] = "negative"
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
