"""Cell encoders: self-attention over all gene tokens (full), learned latent queries (latent), or a linear map (linear)."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from okrcell.cells.tokenizer import CellTokens
from okrcell.settings import Settings

ValueEmbedding = Literal["table", "continuous"]
INIT_STD = 0.1
"""Initial standard deviation of gene and value embeddings."""
GEPC_INIT_STD = 0.02
"""Initial standard deviation of W in GEPC."""
MIN_SPREAD = 0.1
"""Lower bound of the spread of a gene, so that nearly constant genes do not dominate (natural logarithms)."""
MAX_Z_SCORE = 10.0
"""Upper limit of standard scores, as in Seurat and scanpy."""


class BlockSettings(Settings):
    """Hyperparameters of a transformer block (paper: width 128, 4 heads, feed-forward 128)."""

    width: Annotated[int, Field(ge=4)] = 128
    """D: embedding size of a token; a multiple of ``heads``."""
    heads: Annotated[int, Field(ge=1)] = 4
    feed_forward: Annotated[int, Field(ge=1)] = 128
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Dropout in the feed-forward layer and on the residual paths (our reconstruction, as in scGPT; 0.1 is an alternative)."""
    norm: Literal["post", "pre"] = "post"
    """Layer normalization after (post) or before (pre) each sub-layer (our reconstruction, as in scGPT: post)."""
    activation: Literal["relu", "gelu"] = "relu"

    @model_validator(mode="after")
    def _check_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads; seen: {self.width} and {self.heads}")
        return self


class Attention(nn.Module):
    """Multi-head attention from ``queries`` to ``context``, with torch's ``scaled_dot_product_attention``."""

    def __init__(self, settings: BlockSettings) -> None:
        super().__init__()
        self.heads = settings.heads
        self.query = nn.Linear(settings.width, settings.width)
        self.key_value = nn.Linear(settings.width, 2 * settings.width)
        self.out = nn.Linear(settings.width, settings.width)

    def forward(
        self,
        queries: Float[Tensor, "cell query width"],
        context: Float[Tensor, "cell key width"],
        allowed: Tensor | None = None,
    ) -> Float[Tensor, "cell query width"]:
        """Attend from each query to its allowed keys; ``allowed`` is bool (cell, 1, query or 1, key)."""
        query = self._split_heads(self.query(queries))
        key, value = (self._split_heads(part) for part in self.key_value(context).chunk(2, dim=-1))
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return self.out(attended.transpose(1, 2).flatten(2))

    def _split_heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Transformer block: attention, then a feed-forward layer, each with a residual connection."""

    def __init__(self, settings: BlockSettings) -> None:
        super().__init__()
        self.pre_norm = settings.norm == "pre"
        self.attention = Attention(settings)
        self.attention_norm = nn.LayerNorm(settings.width)
        self.feed_norm = nn.LayerNorm(settings.width)
        self.feed = nn.Sequential(
            nn.Linear(settings.width, settings.feed_forward),
            nn.ReLU() if settings.activation == "relu" else nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.feed_forward, settings.width),
        )
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self,
        tokens: Float[Tensor, "cell token width"],
        context: Float[Tensor, "cell key width"] | None = None,
        allowed: Tensor | None = None,
    ) -> Float[Tensor, "cell token width"]:
        """Return updated token states; without ``context`` this is self-attention."""
        if self.pre_norm:
            normed = self.attention_norm(tokens)
            tokens = tokens + self.dropout(self.attention(normed, normed if context is None else context, allowed))
            return tokens + self.dropout(self.feed(self.feed_norm(tokens)))
        attended = self.attention(tokens, tokens if context is None else context, allowed)
        tokens = self.attention_norm(tokens + self.dropout(attended))
        return self.feed_norm(tokens + self.dropout(self.feed(tokens)))


def attention_mask(key_mask: Tensor, query_mask: Tensor) -> Tensor:
    """Attention mask: each query attends to the known keys and to itself (method E3).

    Both arguments are bool (cell, token) over the same tokens; ``query_mask`` marks the genes to predict. Returns bool
    (cell, 1, token, token).
    """
    diagonal = torch.eye(key_mask.shape[1], dtype=torch.bool, device=key_mask.device)
    return key_mask[:, None, None, :] | (diagonal & query_mask[:, None, :, None])


class GeneTokens(nn.Module):
    """``emb_g(gene) + emb_x(value)`` (method E2); a hidden value is replaced by one learned vector, "unknown"."""

    def __init__(self, n_genes: int, n_bins: int, width: int, value_embedding: ValueEmbedding) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.gene = nn.Embedding(n_genes + 1, width, padding_idx=0)
        self.unknown = nn.Embedding(1, width)
        if value_embedding == "table":
            table = nn.Embedding(n_bins, width)
            nn.init.normal_(table.weight, std=INIT_STD)
            self.value: nn.Module = table
        else:
            self.value = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))
        self.continuous = value_embedding == "continuous"
        nn.init.normal_(self.gene.weight[1:], std=INIT_STD)
        nn.init.normal_(self.unknown.weight, std=INIT_STD)

    def forward(self, cells: CellTokens, masked: Tensor | None = None) -> Float[Tensor, "cell token width"]:
        """Embed tokens; where ``masked`` (bool, cell token) is true the value is hidden."""
        return self.with_value(self.gene(cells.gene), cells, masked)

    def with_value(
        self, genes: Float[Tensor, "cell token width"], cells: CellTokens, masked: Tensor | None
    ) -> Float[Tensor, "cell token width"]:
        """Add the value embedding to the gene embedding."""
        value = cells.value[..., None] / self.n_bins if self.continuous else cells.value
        value_vectors: Tensor = self.value(value)
        if masked is not None:
            value_vectors = value_vectors.where(~masked[..., None], self.unknown.weight[0])
        return genes + value_vectors


class ExpressionDecoder(nn.Module):
    """The two heads of generative pre-training: from a gene's own state (GEP) and from the cell state alone (GEPC).

    GEP is a two-layer network on the final state [paper]. GEPC (E6) is our reconstruction after scGPT's decoder:
    ``q = sigmoid(Linear(emb_g(gene)))`` and ``q . W h_cls / sqrt(width)``. The divisor is ours, as in attention: an
    inner product of ``width`` terms, unscaled, starts tens of times above values that lie in [0, 1), and its loss then
    dominates the others. For the same reason W starts small.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_state = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.query = nn.Linear(width, width)
        self.cell = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.cell.weight, std=GEPC_INIT_STD)

    def gep(self, states: Float[Tensor, "cell token width"]) -> Float[Tensor, "cell token"]:
        """GEP: value bin of each token predicted from its state, as a fraction of the number of bins."""
        return self.from_state(states).squeeze(-1)

    def gepc(
        self, gene: Int[Tensor, "cell token"], cell: Float[Tensor, "cell width"], embedding: nn.Embedding
    ) -> Float[Tensor, "cell token"]:
        """GEPC: value bin of each gene predicted from the cell state alone, as a fraction of the number of bins."""
        gene_query = self.query(embedding(gene)).sigmoid()
        return (gene_query @ self.cell(cell)[..., None]).squeeze(-1) / math.sqrt(gene_query.shape[-1])


class CellEncoderSettings(BlockSettings):
    """Settings of the cell encoder; the defaults are the paper's (6 blocks of width 128 over all tokens)."""

    kind: Literal["full", "latent", "linear"] = "full"
    """full: self-attention over all gene tokens (scGPT, the paper). latent: a few learned queries attend to the genes, then
    to one another (after Perceiver, arXiv 2103.03206): ours, because on a CPU it encodes all of a cell's genes at a
    fraction of the cost."""
    blocks: Annotated[int, Field(ge=1, le=1000)] = 6
    latents: Annotated[int, Field(ge=1)] = 16
    """Number of learned queries of the ``latent`` encoder; the first one is the cell state."""
    value_embedding: ValueEmbedding = "table"
    """table: one embedding per value bin; continuous: scGPT's two-layer network on the bin number."""
    frozen: bool = False
    """Do not train the encoder: the linear one keeps the gene vectors that it starts from."""


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


class GeneEmbedding(nn.Module):
    """One vector per gene; token 0 is padding."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.gene = nn.Embedding(n_genes + 1, width, padding_idx=0)
        nn.init.normal_(self.gene.weight[1:], std=INIT_STD)


class LinearEncoder(nn.Module):
    """Sum of the genes' vectors, weighted by standardised log expression (ours).

    The counts of a cell are scaled to the mean sum of the measured genes in the corpus, ``z = (log1p(x) - level) / spread`` is
    cut at `MAX_Z_SCORE`, and a gene that was not measured does not count. With vectors that start from signatures of cell types
    (`okrcell.training.signature_init`), the state is near the vector of the cell's type before any training.
    """

    level: Tensor
    """Mean log expression of each gene in the corpus; 0 before `set_statistics`."""
    spread: Tensor
    """Standard deviation of log expression within cell types, at least `MIN_SPREAD`."""
    linear: Tensor
    """Mean linear expression of each gene."""

    def __init__(self, settings: CellEncoderSettings, n_genes: int, n_bins: int) -> None:
        super().__init__()
        self.tokens = GeneEmbedding(n_genes, settings.width)
        # Token 0, padding, has statistics too.
        self.register_buffer("level", torch.zeros(n_genes + 1))
        self.register_buffer("spread", torch.ones(n_genes + 1))
        self.register_buffer("linear", torch.ones(n_genes + 1))

    def set_statistics(
        self, level: Float[Tensor, " gene"], spread: Float[Tensor, " gene"], linear: Float[Tensor, " gene"]
    ) -> None:
        """Set the statistics of the corpus, in the order of the vocabulary."""
        self.level[1:], self.linear[1:] = level, linear
        self.spread[1:] = (spread**2 + MIN_SPREAD**2).sqrt()

    def forward(self, cells: CellTokens, masked: Tensor | None = None, query_index: Tensor | None = None) -> CellStates:
        """Encode cells.

        Parameters
        ----------
        masked
            Bool (cell, token): genes that are treated as not measured.
        query_index
            Integer (cell, query): indices of the tokens whose vectors are returned; all tokens by default.
        """
        expression, measured = cells.value.float(), cells.measured
        if masked is not None and bool(masked.any()):
            expression = expression.masked_fill(masked, 0)
            measured = self._without(cells.gene.masked_fill(~masked, 0), measured)
        z = self._standardize(expression, cells.gene, measured)
        weights = self.tokens.gene.weight
        state = (
            functional.embedding_bag(cells.gene, weights, per_sample_weights=z, mode="sum", padding_idx=0)
            - self._at_zero(measured) @ weights[1:]
        )
        if masked is None:
            return CellStates(state, None)
        return CellStates(state, gather_tokens(self.tokens.gene(cells.gene), query_index))

    def _standardize(self, expression: Tensor, gene: Tensor, measured: Tensor | None) -> Float[Tensor, "cell token"]:
        """How many spreads each gene is above zero expression."""
        linear = self.linear[1:]
        total = linear.sum() if measured is None else measured.to(linear) @ linear
        scale = total / expression.sum(dim=1).clamp_min(1e-12)
        log_expr = (expression * scale[:, None]).log1p()
        spread = self.spread[gene]
        return log_expr.minimum(self.level[gene] + MAX_Z_SCORE * spread) / spread

    def _at_zero(self, measured: Tensor | None) -> Float[Tensor, "cell_or_one gene"]:
        """How many spreads zero expression is below the level; 0 for genes that were not measured."""
        at_zero = (self.level / self.spread)[None, 1:]
        return at_zero if measured is None else at_zero * measured

    def _without(self, gene: Tensor, measured: Tensor | None) -> Bool[Tensor, "cell gene"]:
        """Measured genes without those of these tokens; token 0 is none."""
        n_genes = len(self.level) - 1
        base = torch.ones(1, n_genes, dtype=torch.bool, device=gene.device) if measured is None else measured
        padded = functional.pad(base.expand(len(gene), -1), (1, 0))
        return padded.scatter(1, gene, value=False)[:, 1:]


def gather_tokens(tokens: Float[Tensor, "cell token width"], index: Tensor | None) -> Float[Tensor, "cell query width"]:
    """Select the tokens at ``index`` (integer, cell query) of each cell; all tokens if None."""
    if index is None:
        return tokens
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def build_cell_encoder(
    settings: CellEncoderSettings, *, n_genes: int, n_bins: int
) -> FullAttentionEncoder | LatentEncoder | LinearEncoder:
    """Build the encoder of type ``settings.kind``."""
    encoder_classes = {"full": FullAttentionEncoder, "latent": LatentEncoder, "linear": LinearEncoder}
    return encoder_classes[settings.kind](settings, n_genes, n_bins)
