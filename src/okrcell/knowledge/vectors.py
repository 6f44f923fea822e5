"""Texts as vectors, whoever makes them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TextEmbedder(Protocol):
    """Anything that gives texts vectors to compare them by.

    Knowledge needs no torch: whoever has an encoder (`okrcell.model`) hands it in.
    """

    name: str
    """Which encoder it is; an index remembers whose vectors it holds."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 vectors (text, dim) of unit length."""
        ...
