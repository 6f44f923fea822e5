"""Retrieval: cells that match a text, and texts that match a cell."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.describe import label_texts

SCORES_AT_ONCE = 16_000_000
"""Maximum number of similarities in memory: 64 MB."""


def match(cells: Float[np.ndarray, "cell dim"], text: str, embedder: TextEmbedder) -> Float[np.ndarray, "cell"]:
    """Cosine similarity in [-1, 1] of each cell and ``text`` (a sentence, a name or a Cell Ontology id).

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
    """Return the indices of the ``top`` highest scores, highest first, ties in cell order; NaN is left out."""
    order = np.argsort(-scores, kind="stable")
    return order[: min(top, int((~np.isnan(scores)).sum()))]


@dataclass(frozen=True)
class Ranking:
    """Best matching texts of each cell, best first."""

    place: NDArray[np.int32]
    """(cell, rank): indices of texts; -1 for a cell without expression."""
    match: Float[np.ndarray, "cell rank"]
    """Cosine similarities in [-1, 1], in descending order per row; NaN for a cell without expression."""


def rank_texts(cells: Float[np.ndarray, "cell dim"], texts: Float[np.ndarray, "text dim"], top: int) -> Ranking:
    """Return the ``top`` best matching texts of each cell, or all if there are fewer; ties in text order.

    Similarities are computed in blocks of cells, so that memory is bounded by the result.

    Parameters
    ----------
    cells
        Unit vectors of the cells; NaN for a cell without expression.
    texts
        Unit vectors of the texts.
    top
        Maximum number of texts per cell.
    """
    top = min(top, len(texts))
    place = np.full((len(cells), top), -1, dtype=np.int32)
    matched = np.full((len(cells), top), np.nan, dtype=np.float32)
    size = max(SCORES_AT_ONCE // max(len(texts), 1), 1)
    for some in _blocks(np.flatnonzero(~np.isnan(cells).any(axis=1)), size):
        scores = cells[some] @ texts.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        place[some] = order
        matched[some] = np.take_along_axis(scores, order, axis=1)
    return Ranking(place, matched)


def group_vectors(
    cells: Float[np.ndarray, "cell dim"], group: NDArray[np.intp], groups: int
) -> Float[np.ndarray, "group dim"]:
    """Return the mean vector of each group; its scalar product with a text is the mean similarity of the group's cells.

    Cells without expression or group (-1) are skipped; NaN for a group without cells.
    """
    counted = (group >= 0) & ~np.isnan(cells).any(axis=1)
    number = np.bincount(group[counted], minlength=groups).astype(np.float32)
    total = np.zeros((groups, cells.shape[1]), dtype=np.float32)
    np.add.at(total, group[counted], cells[counted])
    with np.errstate(invalid="ignore"):
        return total / np.where(number > 0, number, np.nan)[:, None]


def _blocks(places: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]
