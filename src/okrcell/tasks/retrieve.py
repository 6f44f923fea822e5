"""Find the cells that a sentence tells of."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.describe import label_texts


def match(cells: Float[np.ndarray, "cell dim"], text: str, embedder: TextEmbedder) -> Float[np.ndarray, "cell"]:
    """Return how well each cell fits ``text`` (a sentence, a name or a Cell Ontology id): cosine similarity in [-1, 1].

    NaN for a cell without expression.

    Raises
    ------
    InputError
        If the text is empty.
    """
    vectors = embedder.embed_texts(label_texts(text))
    mean = vectors.mean(axis=0)
    return cells @ (mean / np.linalg.norm(mean))


def best(scores: Float[np.ndarray, "cell"], top: int) -> NDArray[np.intp]:
    """Return the places of the ``top`` highest scores, the highest first, ties in the cells' own order; NaN never."""
    order = np.argsort(-scores, kind="stable")
    return order[: min(top, int((~np.isnan(scores)).sum()))]
