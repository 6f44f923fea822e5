"""Cosine similarities between written and original texts, matched and mismatched."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.description import Description

MAX_CALIBRATION_TEXTS = 2_000
"""Maximum number of texts for the pairwise cosines of mismatched texts; a random sample of this size is used."""


@dataclass(frozen=True)
class Cosines:
    """Cosines between originals and written texts, in [-1, 1]."""

    matched: NDArray[np.float64] = field(repr=False)
    """Each written text with its own original (E1), in input order; NaN without a written text."""
    mismatched: NDArray[np.float64] = field(repr=False)
    """Originals with written texts of other cell types."""
    permuted: NDArray[np.float64] = field(repr=False)
    """Each original with one random written text of another cell type."""


@dataclass(frozen=True)
class Percentiles:
    """Number and percentiles of a set of cosines."""

    count: int
    percentiles: tuple[float, ...]
    """1st, 5th, 25th, 50th, 75th, 95th and 99th percentile; empty without cosines."""


def measure_cosines(
    descriptions: Sequence[Description], originals: Sequence[Description], embedder: TextEmbedder, seed: int
) -> Cosines:
    """Compute cosines between first phrasings; only descriptions with the outcome "written" take part."""
    indices = [index for index, text in enumerate(descriptions) if text.outcome == "written"]
    matched = np.full(len(descriptions), np.nan)
    if len(indices) == 0:
        return Cosines(matched, np.zeros(0), np.zeros(0))
    text_rows = {
        text: row for row, text in enumerate(dict.fromkeys(_first_phrasings(descriptions, originals, indices)))
    }
    vectors = embedder.embed_texts(tuple(text_rows))
    written_vectors = vectors[[text_rows[descriptions[index].phrasings[0]] for index in indices]].astype(np.float64)
    original_vectors = vectors[[text_rows[originals[index].phrasings[0]] for index in indices]].astype(np.float64)
    matched[indices] = np.einsum("td,td->t", original_vectors, written_vectors)
    rng = np.random.default_rng(seed)
    sampled_rows = np.sort(rng.permutation(len(indices))[:MAX_CALIBRATION_TEXTS])
    types = np.array([_cell_type(descriptions[indices[row]]) for row in sampled_rows], dtype=np.str_)
    is_mismatch = types[:, None] != types[None, :]
    cosines = original_vectors[sampled_rows] @ written_vectors[sampled_rows].T
    candidates_per_text = [np.flatnonzero(candidates) for candidates in is_mismatch]
    permuted = [
        cosines[row, rng.choice(candidates)] for row, candidates in enumerate(candidates_per_text) if len(candidates)
    ]
    return Cosines(matched, cosines[is_mismatch], np.array(permuted))


def _first_phrasings(
    descriptions: Sequence[Description], originals: Sequence[Description], indices: Sequence[int]
) -> list[str]:
    return [texts[index].phrasings[0] for texts in (descriptions, originals) for index in indices]


def calibrated_threshold(mismatched: NDArray[np.float64]) -> float:
    """Return the 95th percentile of the mismatched cosines; requires at least one."""
    return float(np.percentile(mismatched, 95))


def _cell_type(text: Description) -> str:
    return text.profile.cell_type_id or text.profile.cell_type


def summarize_cosines(cosines: NDArray[np.float64]) -> Percentiles:
    """Return the number and the percentiles of cosines."""
    percentiles = np.percentile(cosines, (1, 5, 25, 50, 75, 95, 99)).tolist() if len(cosines) else []
    return Percentiles(len(cosines), tuple(percentiles))
