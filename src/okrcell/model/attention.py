"""Multi-head attention, the transformer block and the attention mask."""

from typing import Annotated, Literal, Self

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from okrcell.settings import Settings


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
