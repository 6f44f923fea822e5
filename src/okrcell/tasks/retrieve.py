"""Find the cells that a sentence tells of, or the sentences that tell of a cell."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.describe import label_texts

SCORES_AT_ONCE = 16_000_000
"""Similarities in memory at a time: 64 MB."""


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


@dataclass(frozen=True)
class Ranking:
    """The texts that fit each cell best, the best first."""

    place: NDArray[np.int32]
    """(cell, rank): places among the texts; -1 for a cell without expression."""
    match: Float[np.ndarray, "cell rank"]
    """Their cosine similarities, in [-1, 1], falling along the row; NaN for a cell without expression."""


def rank_texts(cells: Float[np.ndarray, "cell dim"], texts: Float[np.ndarray, "text dim"], top: int) -> Ranking:
    """Find for each cell the ``top`` texts that fit it best; of equal ones the first. All of them if there are fewer.

    Each cell is asked by itself, in blocks: a million cells and three thousand texts take the memory of their answers.

    Parameters
    ----------
    cells, texts
        Unit vectors; NaN for a cell without expression.
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
    """Return the mean vector of each group's cells: its product with a text is the mean match of the cells.

    Cells without expression, and those of no group (-1), are passed over; NaN for a group with none left.
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
