"""Cosine similarities between written and original texts, matched and mismatched."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.description import Description

MOST = 2_000
"""Maximum number of texts for the pairwise cosines of mismatched texts; a random sample of this size is used."""


@dataclass(frozen=True)
class Cosines:
    """Cosines between originals and written texts, in [-1, 1]."""

    own: NDArray[np.float64] = field(repr=False)
    """Each written text with its own original (E1), in input order; NaN without a written text."""
    strangers: NDArray[np.float64] = field(repr=False)
    """Originals with written texts of other cell types."""
    swapped: NDArray[np.float64] = field(repr=False)
    """Each original with one random written text of another cell type."""


@dataclass(frozen=True)
class Spread:
    """Number and percentiles of a set of cosines."""

    count: int
    percentiles: tuple[float, ...]
    """1st, 5th, 25th, 50th, 75th, 95th and 99th percentile; empty without cosines."""


def measure(
    written: Sequence[Description], originals: Sequence[Description], embedder: TextEmbedder, seed: int
) -> Cosines:
    """Compute cosines between first phrasings; only descriptions with the outcome "written" take part."""
    places = [place for place, text in enumerate(written) if text.outcome == "written"]
    own = np.full(len(written), np.nan)
    if len(places) == 0:
        return Cosines(own, np.zeros(0), np.zeros(0))
    first = {text: row for row, text in enumerate(dict.fromkeys(_texts(written, originals, places)))}
    vectors = embedder.embed_texts(tuple(first))
    of_written = vectors[[first[written[place].phrasings[0]] for place in places]].astype(np.float64)
    of_original = vectors[[first[originals[place].phrasings[0]] for place in places]].astype(np.float64)
    own[places] = np.einsum("td,td->t", of_original, of_written)
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(places))[:MOST])
    types = np.array([_cell_type(written[places[row]]) for row in some], dtype=np.str_)
    apart = types[:, None] != types[None, :]
    cosines = of_original[some] @ of_written[some].T
    others = [np.flatnonzero(strange) for strange in apart]
    swapped = [cosines[row, rng.choice(strange)] for row, strange in enumerate(others) if len(strange)]
    return Cosines(own, cosines[apart], np.array(swapped))


def _texts(written: Sequence[Description], originals: Sequence[Description], places: Sequence[int]) -> list[str]:
    return [some[place].phrasings[0] for some in (written, originals) for place in places]


def calibrated(strangers: NDArray[np.float64]) -> float:
    """Return the 95th percentile of the mismatched cosines; requires at least one."""
    return float(np.percentile(strangers, 95))


def _cell_type(text: Description) -> str:
    return text.profile.cell_type_id or text.profile.cell_type


def spread(cosines: NDArray[np.float64]) -> Spread:
    """Return the number and the percentiles of cosines."""
    percentiles = np.percentile(cosines, (1, 5, 25, 50, 75, 95, 99)).tolist() if len(cosines) else []
    return Spread(len(cosines), tuple(percentiles))
