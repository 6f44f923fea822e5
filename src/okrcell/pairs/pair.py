"""A cell and the descriptions that may be read with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from okrcell.cells.corpus import Corpus
from okrcell.texts.describe import describe
from okrcell.texts.description import Description, Writer
from okrcell.texts.profile import profiles


@dataclass(frozen=True)
class Pairs:
    """All cells of a corpus with their descriptions; cells with equal profiles share one."""

    corpus: Corpus
    descriptions: tuple[Description, ...]
    texts: tuple[str, ...]
    """Every distinct phrasing once, over all descriptions."""
    phrasings: tuple[NDArray[np.int32], ...]
    """For each description, the places of its phrasings in ``texts``; none where nothing is known of the cell type."""
    description: NDArray[np.int32]
    """For each cell of the corpus, its place in ``descriptions``."""
    cell_type: NDArray[np.int32]
    """For each description, a number that it shares with the others of its cell type; -1 where unknown."""
    cell_type_names: tuple[str, ...]
    """What those numbers stand for: Cell Ontology ids where known, else the author's words."""

    @classmethod
    def of(cls, corpus: Corpus, writer: Writer | None = None) -> Self:
        """Read the profiles of a corpus and describe each distinct one."""
        found = profiles(corpus.obs)
        descriptions = tuple(describe(found.distinct, writer))
        place: dict[str, int] = {}
        phrasings = tuple(
            np.array([place.setdefault(text, len(place)) for text in _spoken(description)], dtype=np.int32)
            for description in descriptions
        )
        names = [description.profile.cell_type_id or description.profile.cell_type for description in descriptions]
        kinds = {name: number for number, name in enumerate(dict.fromkeys(filter(None, names)))}
        return cls(
            corpus,
            descriptions,
            tuple(place),
            phrasings,
            found.code.astype(np.int32),
            np.array([kinds.get(name, -1) for name in names], dtype=np.int32),
            tuple(kinds),
        )

    @property
    def described(self) -> NDArray[np.bool_]:
        """For each cell, whether its cell type is known: such cells take part in alignment."""
        known = np.array([len(texts) > 0 for texts in self.phrasings], dtype=bool)
        return known[self.description] if len(known) else np.zeros(0, dtype=bool)


def _spoken(description: Description) -> Sequence[str]:
    # A text that only names a tissue fits most cells of a batch: as a partner it would teach that they differ from it.
    return description.phrasings if description.profile.cell_type else ()
