"""Text encoder as published, independent of any trained model."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from okrcell.model.text_encoder import BUNDLED_ENCODER, TextEncoder, TextEncoderSettings

TEXT_BATCH_SIZE = 64


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
