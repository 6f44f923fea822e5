"""Gene tokens become one vector for the cell."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from okrcell.cells.tokenise import CellTokens
from okrcell.model.attention import Block, BlockSettings, sees
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
    genes: Float[Tensor, "cell token width"] | None
    """Final states of the tokens, when some were masked."""


class FullAttentionEncoder(nn.Module):
    """scGPT-type transformer: `<cls>` and all tokens, known ones seen by all (method 3.2, E3)."""

    def __init__(self, settings: CellEncoderSettings, genes: int, bins: int) -> None:
        super().__init__()
        self.tokens = GeneTokens(genes, bins, settings.width, settings.value_embedding)
        self.cls = nn.Parameter(torch.randn(settings.width) * START)
        self.blocks = nn.ModuleList([Block(settings) for _ in range(settings.blocks)])

    def forward(self, cells: CellTokens, masked: Tensor | None = None) -> CellStates:
        """Encode; ``masked`` (bool, cell token) marks genes whose value is hidden and to be predicted."""
        states = self.tokens(cells, masked)
        states = torch.cat([self.cls.expand(len(states), 1, -1), states], dim=1)
        known = nn.functional.pad(cells.known, (1, 0), value=True)
        allowed = known[:, None, None, :]
        if masked is not None:
            hidden = nn.functional.pad(masked, (1, 0), value=False)
            allowed = sees(known & ~hidden, hidden)
        for block in self.blocks:
            states = block(states, allowed=allowed)
        return CellStates(states[:, 0], None if masked is None else states[:, 1:])


class LatentEncoder(nn.Module):
    """Learned queries gather from the known genes; hidden genes ask the queries for their value (ours)."""

    def __init__(self, settings: CellEncoderSettings, genes: int, bins: int) -> None:
        super().__init__()
        self.tokens = GeneTokens(genes, bins, settings.width, settings.value_embedding)
        self.token_norm = nn.LayerNorm(settings.width)
        self.latents = nn.Parameter(torch.randn(settings.latents, settings.width) * START)
        self.gather = Block(settings)
        self.blocks = nn.ModuleList([Block(settings) for _ in range(settings.blocks)])
        self.ask = Block(settings)

    def forward(self, cells: CellTokens, masked: Tensor | None = None) -> CellStates:
        """Encode; ``masked`` (bool, cell token) marks genes whose value is hidden and to be predicted."""
        tokens = self.token_norm(self.tokens(cells, masked))
        known = cells.known if masked is None else cells.known & ~masked
        latents = self.latents.expand(len(tokens), -1, -1)
        # A cell without any known gene would leave softmax nothing to share out: let it see its padding.
        lonely = ~known.any(dim=1, keepdim=True)
        latents = self.gather(latents, tokens, (known | lonely)[:, None, None, :])
        for block in self.blocks:
            latents = block(latents)
        return CellStates(latents[:, 0], None if masked is None else self.ask(tokens, latents))


def cell_encoder(settings: CellEncoderSettings, *, genes: int, bins: int) -> FullAttentionEncoder | LatentEncoder:
    """Build the encoder that the settings name."""
    kinds = {"full": FullAttentionEncoder, "latent": LatentEncoder}
    return kinds[settings.kind](settings, genes, bins)
