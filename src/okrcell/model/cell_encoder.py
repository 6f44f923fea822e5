"""Gene tokens become one vector for the cell."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from okrcell.cells.tokenise import CellTokens
from okrcell.model.attention import Attention, Block, BlockSettings, sees
from okrcell.model.gene_tokens import START, GeneTokens, ValueEmbedding


class CellEncoderSettings(BlockSettings):
    """The cell encoder; the defaults are the paper's (6 blocks of width 128 over all tokens)."""

    kind: Literal["full", "latent"] = "full"
    """full: every gene looks at every gene (scGPT, the paper). latent: a few learned queries gather from the genes and
    then look at one another (after Perceiver, arXiv 2103.03206): ours, because on a CPU it reads all of a cell's genes at
    a fraction of the cost."""
    blocks: Annotated[int, Field(ge=1)] = 6
    latents: Annotated[int, Field(ge=1)] = 16
    """Learned queries of the ``latent`` kind; the first one is the cell."""
    value_embedding: ValueEmbedding = "table"
    """table: a vector per value class; continuous: scGPT's two-layer network on the class number."""


@dataclass(frozen=True)
class CellStates:
    """What the encoder says of some cells."""

    cell: Float[Tensor, "cell width"]
    """h_cls, not yet projected or normalised."""
    genes: Float[Tensor, "cell asked width"] | None
    """Final states of the tokens that were asked for, when some were masked."""


class FullAttentionEncoder(nn.Module):
    """scGPT-type transformer: `<cls>` and all tokens, known ones seen by all (method 3.2, E3)."""

    def __init__(self, settings: CellEncoderSettings, genes: int, bins: int) -> None:
        super().__init__()
        self.tokens = GeneTokens(genes, bins, settings.width, settings.value_embedding)
        self.cls = nn.Parameter(torch.randn(settings.width) * START)
        self.blocks = nn.ModuleList([Block(settings) for _ in range(settings.blocks)])

    def forward(self, cells: CellTokens, masked: Tensor | None = None, asked: Tensor | None = None) -> CellStates:
        """Encode; ``masked`` (bool, cell token) marks genes whose value is hidden and to be predicted.

        ``asked`` (integer, cell asked) names the places of the tokens whose states are wanted; all by default.
        """
        states = self.tokens(cells, masked)
        states = torch.cat([self.cls.expand(len(states), 1, -1), states], dim=1)
        known = nn.functional.pad(cells.known, (1, 0), value=True)
        allowed = known[:, None, None, :]
        if masked is not None:
            hidden = nn.functional.pad(masked, (1, 0), value=False)
            allowed = sees(known & ~hidden, hidden)
        for block in self.blocks:
            states = block(states, allowed=allowed)
        return CellStates(states[:, 0], None if masked is None else at(states[:, 1:], asked))


class GeneSum(nn.Module):
    """The sum of a cell's gene vectors, each as strong as its value class says: a linear reading of the cell.

    The weight of a class is learned and starts in proportion to it. The sum is divided by the root of the number of genes,
    so that small panels and deep cells come out alike in length.
    """

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Embedding.from_pretrained(torch.linspace(0, 1, bins)[:, None], freeze=False)
        self.out = nn.Linear(width, width)

    def forward(
        self, genes: Float[Tensor, "cell token width"], value: Tensor, known: Tensor
    ) -> Float[Tensor, "cell width"]:
        """Sum ``genes`` over the tokens that are ``known`` (bool, cell token)."""
        weight = self.weight(value).squeeze(-1) * known / known.sum(dim=1, keepdim=True).clamp_min(1).sqrt()
        return self.out((weight[:, None] @ genes).squeeze(1))


class LatentEncoder(nn.Module):
    """Learned queries gather from the known genes; hidden genes ask the queries for their value (ours).

    The queries start from the linear sum of the genes: without it, attention takes longer to learn which genes matter
    (docs/results/first-model.md).
    """

    def __init__(self, settings: CellEncoderSettings, genes: int, bins: int) -> None:
        super().__init__()
        self.tokens = GeneTokens(genes, bins, settings.width, settings.value_embedding)
        self.sum_up = GeneSum(bins, settings.width)
        self.latents = nn.Parameter(torch.randn(settings.latents, settings.width) * START)
        self.gather = Block(settings)
        self.blocks = nn.ModuleList([Block(settings) for _ in range(settings.blocks)])
        self.ask = Attention(settings)
        self.asked_norm = nn.LayerNorm(settings.width)

    def forward(self, cells: CellTokens, masked: Tensor | None = None, asked: Tensor | None = None) -> CellStates:
        """Encode; the arguments are those of `FullAttentionEncoder`."""
        genes = self.tokens.gene(cells.gene)
        tokens = self.tokens.with_value(genes, cells, masked)
        known = cells.known if masked is None else cells.known & ~masked
        latents = self.latents + self.sum_up(genes, cells.value, known)[:, None]
        # A cell without any known gene would leave softmax nothing to share out: it sees blanks, whatever their number.
        lonely = ~known.any(dim=1, keepdim=True)
        shown = tokens.masked_fill(lonely[..., None], 0.0)
        latents = self.gather(latents, shown, (known | lonely)[:, None, None, :])
        for block in self.blocks:
            latents = block(latents)
        if masked is None:
            return CellStates(latents[:, 0], None)
        hidden = at(tokens, asked)
        return CellStates(latents[:, 0], self.asked_norm(hidden + self.ask(hidden, latents)))


def at(tokens: Float[Tensor, "cell token width"], places: Tensor | None) -> Float[Tensor, "cell asked width"]:
    """Take the tokens at ``places`` (integer, cell asked) of each cell; all of them without."""
    if places is None:
        return tokens
    return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[-1]))


def cell_encoder(settings: CellEncoderSettings, *, genes: int, bins: int) -> FullAttentionEncoder | LatentEncoder:
    """Build the encoder that the settings name."""
    kinds = {"full": FullAttentionEncoder, "latent": LatentEncoder}
    return kinds[settings.kind](settings, genes, bins)
