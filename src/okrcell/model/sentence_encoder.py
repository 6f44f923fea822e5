"""Texts compared by a plain text encoder, before any cell was seen."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from okrcell.model.text_encoder import EMBEDDED, TextEncoder, TextEncoderSettings

TEXTS_AT_ONCE = 64


class SentenceEncoder:
    """A text encoder as it was published, pooled over its word pieces (a `TextEmbedder`).

    It serves retrieval, matching of terms and screening, which must not move when a model learns.
    """

    def __init__(self, name: str = EMBEDDED, limit: int = 256) -> None:
        # Texts cut elsewhere have other vectors: an index must be able to tell.
        self.name = f"{name}, {limit} word pieces"
        self._encoder = TextEncoder(TextEncoderSettings(name=name, limit=limit, adapt="nothing"))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
        """Return a unit vector for each text, float32 (text, dim)."""
        vectors = np.zeros((len(texts), self._encoder.width), dtype=np.float32)
        by_length = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            some = by_length[start : start + TEXTS_AT_ONCE].tolist()
            tokens = self._encoder.tokeniser.tokenise([texts[int(place)] for place in some])
            vectors[some] = torch.nn.functional.normalize(self._encoder(tokens), dim=1).numpy()
        return vectors
