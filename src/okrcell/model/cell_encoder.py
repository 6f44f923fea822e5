"""Cell encoders: self-attention over all gene tokens (full), or learned latent queries (latent)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from okrcell.cells.tokenizer import CellTokens
from okrcell.model.attention import Attention, Block, BlockSettings, attention_mask
from okrcell.model.gene_tokens import INIT_STD, GeneTokens, ValueEmbedding


class CellEncoderSettings(BlockSettings):
    """Settings of the cell encoder; the defaults are the paper's (6 blocks of width 128 over all tokens)."""

    kind: Literal["full", "latent"] = "full"
    """full: self-attention over all gene tokens (scGPT, the paper). latent: a few learned queries attend to the genes, then
    to one another (after Perceiver, arXiv 2103.03206): ours, because on a CPU it encodes all of a cell's genes at a
    fraction of the cost."""
    blocks: Annotated[int, Field(ge=1)] = 6
    latents: Annotated[int, Field(ge=1)] = 16
    """Number of learned queries of the ``latent`` encoder; the first one is the cell state."""
    value_embedding: ValueEmbedding = "table"
    """table: one embedding per value bin; continuous: scGPT's two-layer network on the bin number."""


@dataclass(frozen=True)
class CellStates:
    """Encoder output for a batch of cells."""

    cell: Float[Tensor, "cell width"]
    """h_cls, before projection and normalization."""
    genes: Float[Tensor, "cell query width"] | None
    """Final states of the requested tokens; None if no gene was masked."""


class FullAttentionEncoder(nn.Module):
    """scGPT-type transformer over `<cls>` and all gene tokens; all tokens attend to the known ones (method 3.2, E3)."""

    def __init__(self, settings: CellEncoderSettings, n_genes: int, n_bins: int) -> None:
        super().__init__()
        self.tokens = GeneTokens(n_genes, n_bins, settings.width, settings.value_embedding)
        self.cls = nn.Parameter(torch.randn(settings.width) * INIT_STD)
        self.blocks = nn.ModuleList([Block(settings) for _ in range(settings.blocks)])

    def forward(self, cells: CellTokens, masked: Tensor | None = None, query_index: Tensor | None = None) -> CellStates:
        """Encode cells.

        Parameters
        ----------
        masked
            Bool (cell, token): genes whose value is hidden and predicted.
        query_index
            Integer (cell, query): indices of the tokens whose states are returned; all tokens by default.
        """
        states = self.tokens(cells, masked)
        states = torch.cat([self.cls.expand(len(states), 1, -1), states], dim=1)
        known_mask = nn.functional.pad(cells.attention_mask, (1, 0), value=True)
        allowed = known_mask[:, None, None, :]
        if masked is not None:
            hidden = nn.functional.pad(masked, (1, 0), value=False)
            allowed = attention_mask(known_mask & ~hidden, hidden)
        for block in self.blocks:
            states = block(states, allowed=allowed)
        return CellStates(states[:, 0], None if masked is None else gather_tokens(states[:, 1:], query_index))


class GeneSum(nn.Module):
    """Weighted sum of a cell's gene embeddings, with one weight per value bin: a linear summary of the cell.

    The weight of a bin is learned and starts in proportion to the bin number. The sum is divided by the square root of the
    number of genes, so that small panels and deep cells give vectors of similar length.
    """

    def __init__(self, n_bins: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Embedding.from_pretrained(torch.linspace(0, 1, n_bins)[:, None], freeze=False)
        self.out = nn.Linear(width, width)

    def forward(
        self, genes: Float[Tensor, "cell token width"], value: Tensor, mask: Tensor
    ) -> Float[Tensor, "cell width"]:
        """Sum ``genes`` over the tokens where ``mask`` (bool, cell token) is true."""
        weight = self.weight(value).squeeze(-1) * mask / mask.sum(dim=1, keepdim=True).clamp_min(1).sqrt()
        return self.out((weight[:, None] @ genes).squeeze(1))


class LatentEncoder(nn.Module):
    """Learned queries attend to the known genes; hidden genes attend to the queries (ours).

    The queries start from the weighted sum of the genes: without it, attention takes longer to learn which genes matter
    (docs/results/first-model.md).
    """

    def __init__(self, settings: CellEncoderSettings, n_genes: int, n_bins: int) -> None:
        super().__init__()
        self.tokens = GeneTokens(n_genes, n_bins, settings.width, settings.value_embedding)
        self.sum_up = GeneSum(n_bins, settings.width)
        self.latents = nn.Parameter(torch.randn(settings.latents, settings.width) * INIT_STD)
        self.gather = Block(settings)
        self.blocks = nn.ModuleList([Block(settings) for _ in range(settings.blocks)])
        self.ask = Attention(settings)
        self.asked_norm = nn.LayerNorm(settings.width)

    def forward(self, cells: CellTokens, masked: Tensor | None = None, query_index: Tensor | None = None) -> CellStates:
        """Encode cells.

        Parameters
        ----------
        masked
            Bool (cell, token): genes whose value is hidden and predicted.
        query_index
            Integer (cell, query): indices of the tokens whose states are returned; all tokens by default.
        """
        genes = self.tokens.gene(cells.gene)
        tokens = self.tokens.with_value(genes, cells, masked)
        visible = cells.attention_mask if masked is None else cells.attention_mask & ~masked
        latents = self.latents + self.sum_up(genes, cells.value, visible)[:, None]
        # Softmax over no key is undefined: a cell without any known gene attends to zero vectors, whatever their number.
        no_genes = ~visible.any(dim=1, keepdim=True)
        context = tokens.masked_fill(no_genes[..., None], 0.0)
        latents = self.gather(latents, context, (visible | no_genes)[:, None, None, :])
        for block in self.blocks:
            latents = block(latents)
        if masked is None:
            return CellStates(latents[:, 0], None)
        hidden = gather_tokens(tokens, query_index)
        return CellStates(latents[:, 0], self.asked_norm(hidden + self.ask(hidden, latents)))


def gather_tokens(tokens: Float[Tensor, "cell token width"], index: Tensor | None) -> Float[Tensor, "cell query width"]:
    """Select the tokens at ``index`` (integer, cell query) of each cell; all tokens if None."""
    if index is None:
        return tokens
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def build_cell_encoder(
    settings: CellEncoderSettings, *, n_genes: int, n_bins: int
) -> FullAttentionEncoder | LatentEncoder:
    """Build the encoder of type ``settings.kind``."""
    encoder_classes = {"full": FullAttentionEncoder, "latent": LatentEncoder}
    return encoder_classes[settings.kind](settings, n_genes, n_bins)
