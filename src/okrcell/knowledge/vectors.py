"""Protocol of a text embedder."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TextEmbedder(Protocol):
    """Protocol of a text embedder: maps texts to unit vectors whose dot products are cosine similarities.

    Attributes
    ----------
    name
        Identifier of the encoder. A passage index stores it and can only be searched with the same encoder.

    Notes
    -----
    The protocol keeps `okrcell.knowledge` free of torch; the implementations are in `okrcell.model`.

    Examples
    --------
    >>> class LetterEmbedder:
    ...     name = "letter-counts"
    ...
    ...     def embed_texts(self, texts):
    ...         counts = np.array([[text.lower().count(letter) for letter in "bclt"] for text in texts], dtype=np.float32)
    ...         return counts / np.linalg.norm(counts, axis=1, keepdims=True)
    >>> vectors = LetterEmbedder().embed_texts(["B cell", "T cell"])
    >>> vectors.shape
    (2, 4)
    >>> bool(np.allclose(np.linalg.norm(vectors, axis=1), 1))
    True
    """

    name: str

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts.

        Parameters
        ----------
        texts
            Texts, at least one.

        Returns
        -------
        float32 (text, dim), one row of unit length for each text.
        """
        ...
