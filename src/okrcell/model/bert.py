"""BERT in plain PyTorch, with the parameter names of published files: importing `transformers` takes seconds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import torch
from jaxtyping import Bool, Float, Int
from pydantic import AliasChoices, BaseModel, Field, ValidationError, model_validator
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
WEIGHTS_FILE = "model.safetensors"
UNUSED_WEIGHTS = frozenset({"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"})
"""Weights of a published file that do not change the states of the word pieces."""
_Size = Annotated[int, Field(ge=1)]


class BertSettings(BaseModel, frozen=True):
    """The part of a ``config.json`` that changes the states; any other value needs `transformers`."""

    model_type: Literal["bert"]
    hidden_act: Literal["gelu"] = "gelu"
    position_embedding_type: Literal["absolute"] = "absolute"
    is_decoder: Literal[False] = False
    add_cross_attention: Literal[False] = False
    vocab_size: _Size
    hidden_size: _Size
    intermediate_size: _Size
    num_hidden_layers: Annotated[int, Field(ge=1, le=100)]
    num_attention_heads: _Size
    max_position_embeddings: _Size
    type_vocab_size: _Size = 2
    layer_norm_eps: float = 1e-12
    dtype: Literal["float32"] = Field("float32", validation_alias=AliasChoices("dtype", "torch_dtype"))

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size is not a multiple of num_attention_heads")
        return self


class WordPieceSettings(BaseModel, frozen=True):
    """The part of a ``tokenizer_config.json`` that changes the word pieces."""

    do_lower_case: bool = True
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    cls_token: str = "[CLS]"  # noqa: S105 - a word piece
    sep_token: str = "[SEP]"  # noqa: S105
    padding_side: Literal["right"] = "right"
    truncation_side: Literal["right"] = "right"


class BertStates(NamedTuple):
    """States of the word pieces of a batch of texts."""

    last_hidden_state: Float[Tensor, "text piece width"]
    hidden_states: tuple[Float[Tensor, "text piece width"], ...]
    """States before the first layer and after each layer; empty unless they are requested."""


class BertLayer(nn.Module):
    """Self-attention and feed-forward network, each added to its input and followed by layer normalisation."""

    def __init__(self, settings: BertSettings) -> None:
        super().__init__()
        width, hidden, eps = settings.hidden_size, settings.intermediate_size, settings.layer_norm_eps
        attention = _SelfAttention(width, settings.num_attention_heads)
        self.attention = nn.ModuleDict({"self": attention, "output": _ResidualOutput(width, width, eps)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, hidden)})
        self.output = _ResidualOutput(hidden, width, eps)

    def forward(
        self, states: Float[Tensor, "text piece width"], is_piece: Bool[Tensor, "text 1 1 piece"] | None
    ) -> Float[Tensor, "text piece width"]:
        """Run the layer; ``is_piece`` is false for padding, None without padding."""
        states = self.attention["output"](self.attention["self"](states, is_piece), states)
        return self.output(functional.gelu(self.intermediate["dense"](states)), states)


class _SelfAttention(nn.Module):
    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self._n_heads = n_heads

    def forward(self, states: Tensor, is_piece: Tensor | None) -> Tensor:
        projected = (linear(states) for linear in (self.query, self.key, self.value))
        query, key, value = (tensor.unflatten(-1, (self._n_heads, -1)).transpose(1, 2) for tensor in projected)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=is_piece)
        return attended.transpose(1, 2).flatten(2)


class _ResidualOutput(nn.Module):
    def __init__(self, width_in: int, width: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)

    def forward(self, update: Tensor, states: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(update) + states)


def _embedding(n_rows: int, width: int) -> nn.Embedding:
    # Random initialisation of a table without memory imports torch._dynamo.
    return nn.Embedding.from_pretrained(torch.empty(n_rows, width))


class BertEncoder(nn.Module):
    """BERT without pooler and dropout; equals `transformers.BertModel` in evaluation mode (arXiv 1810.04805)."""

    def __init__(self, settings: BertSettings) -> None:
        super().__init__()
        self.config = settings
        width = settings.hidden_size
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": _embedding(settings.vocab_size, width),
                "position_embeddings": _embedding(settings.max_position_embeddings, width),
                "token_type_embeddings": _embedding(settings.type_vocab_size, width),
                "LayerNorm": nn.LayerNorm(width, eps=settings.layer_norm_eps),
            }
        )
        layers = [BertLayer(settings) for _ in range(settings.num_hidden_layers)]
        self.encoder: Any = nn.ModuleDict({"layer": nn.ModuleList(layers)})

    def forward(
        self,
        input_ids: Int[Tensor, "text piece"],
        attention_mask: Int[Tensor, "text piece"],
        *,
        output_hidden_states: bool = False,
    ) -> BertStates:
        """Run all layers; a text is one segment, and its padding is hidden."""
        states = self._embed(input_ids)
        is_piece = None if bool(attention_mask.all()) else attention_mask[:, None, None, :].bool()
        hidden_states = [states]
        for layer in self.encoder.layer:
            states = layer(states, is_piece)
            if output_hidden_states:
                hidden_states.append(states)
        return BertStates(states, tuple(hidden_states) if output_hidden_states else ())

    def _embed(self, input_ids: Int[Tensor, "text piece"]) -> Float[Tensor, "text piece width"]:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        embeddings = self.embeddings
        states = embeddings["word_embeddings"](input_ids) + embeddings["token_type_embeddings"](
            torch.zeros_like(positions)
        )
        return embeddings["LayerNorm"](states + embeddings["position_embeddings"](positions))


def load_bert(folder: Path) -> BertEncoder | None:
    """Load a BERT whose file has exactly the weights of `BertEncoder` in 32 bits; None for any other text encoder.

    Raises
    ------
    SafetensorError
        If the weights are damaged.
    """
    if not (folder / WEIGHTS_FILE).is_file():
        return None
    try:
        settings = BertSettings.model_validate_json((folder / CONFIG_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    with torch.device("meta"):
        encoder = BertEncoder(settings)
    expected = {name: (list(tensor.shape), "F32") for name, tensor in encoder.state_dict().items()}
    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys() if name not in UNUSED_WEIGHTS}  # noqa: SIM118
        if {name: (stored.get_shape(), stored.get_dtype()) for name, stored in slices.items()} != expected:
            return None
        encoder.load_state_dict({name: file.get_tensor(name) for name in expected}, assign=True)
    return encoder


def load_word_pieces(folder: Path) -> "Tokenizer | None":
    """Load the word-piece tokenizer of a BERT; None if another library must read it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    try:
        settings = WordPieceSettings.model_validate_json((folder / TOKENIZER_CONFIG_FILE).read_bytes())
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    except Exception:  # noqa: BLE001 - the package `tokenizers` raises nothing narrower
        return None
    normalizer: Any = tokenizer.normalizer
    is_plain = (
        isinstance(tokenizer.model, models.WordPiece)
        and isinstance(normalizer, normalizers.BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
        and normalizer.lowercase == settings.do_lower_case
        and normalizer.strip_accents == settings.strip_accents
        and normalizer.handle_chinese_chars == settings.tokenize_chinese_chars
    )
    if not is_plain:
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer if tokenizer.encode("").tokens == [settings.cls_token, settings.sep_token] else None
