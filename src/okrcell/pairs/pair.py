"""Dataset of cells with the texts they are paired with."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from okrcell.cells.corpus import Corpus
from okrcell.errors import InputError
from okrcell.pairs.mix import TextSettings, drawable
from okrcell.pairs.tampering import CellRows
from okrcell.provenance import fingerprint
from okrcell.texts.describe import describe
from okrcell.texts.description import Description
from okrcell.texts.profile import CellProfile, profiles
from okrcell.texts.store import load_descriptions


@dataclass(frozen=True)
class Pairs:
    """All cells of a corpus with their descriptions; cells with equal profiles share a description."""

    corpus: Corpus
    descriptions: tuple[Description, ...]
    texts: tuple[str, ...]
    """Distinct texts of all descriptions."""
    phrasings: tuple[NDArray[np.int32], ...]
    """For each description, the indices of its texts in ``texts``; empty if the cell type is unknown."""
    chances: tuple[NDArray[np.float64], ...]
    """For each description, the sampling probabilities of its texts; they sum to 1."""
    description: NDArray[np.int32]
    """For each cell of the corpus, the index of its description in ``descriptions``."""
    description_before_noise: NDArray[np.int32]
    """The same without label noise (`okrcell.pairs.noise`), so that noise does not change how often a cell is sampled."""
    cell_type: NDArray[np.int32]
    """For each description, the index of its cell type in ``cell_type_names``; -1 if unknown."""
    cell_type_names: tuple[str, ...]
    """Cell types: Cell Ontology ids where known, otherwise the author's labels."""
    fingerprint: str
    """Sha256 of the corpus and, if there is one, of the file of descriptions."""
    cells: CellRows
    """Source of expression: the corpus, or the corpus with expression noise (`okrcell.pairs.noise`)."""

    @classmethod
    def of(cls, corpus: Corpus, settings: TextSettings | None = None) -> Self:
        """Build the dataset of a corpus: one description per distinct profile.

        Raises
        ------
        InputError
            If the file of descriptions cannot be read, or lacks profiles of the corpus.
        """
        settings = TextSettings() if settings is None else settings
        found = profiles(corpus.obs)
        descriptions = _stored(found.distinct, settings)
        # A text that names only a tissue fits most cells of a batch, which would be wrong negatives of each other.
        drawn = [drawable(one, settings) if one.profile.cell_type else {} for one in descriptions]
        texts = {text: place for place, text in enumerate(dict.fromkeys(text for some in drawn for text in some))}
        names = [description.profile.cell_type_id or description.profile.cell_type for description in descriptions]
        kinds = {name: number for number, name in enumerate(dict.fromkeys(filter(None, names)))}
        description = found.code.astype(np.int32)
        return cls(
            corpus,
            tuple(descriptions),
            tuple(texts),
            tuple(np.array([texts[text] for text in some], dtype=np.int32) for some in drawn),
            tuple(np.array(list(some.values()), dtype=np.float64) for some in drawn),
            description,
            description,
            np.array([kinds.get(name, -1) for name in names], dtype=np.int32),
            tuple(kinds),
            _fingerprint(corpus, settings),
            corpus,
        )

    @cached_property
    def described(self) -> NDArray[np.bool_]:
        """Bool, for each cell, whether it has a text of its cell type; only such cells are used for the contrastive loss."""
        known = np.array([len(texts) > 0 for texts in self.phrasings], dtype=bool)
        return known[self.description] if len(known) else np.zeros(0, dtype=bool)

    @property
    def tampered(self) -> bool:
        """Whether ``cells`` has expression noise."""
        return self.cells is not self.corpus

    def expression(self, rows: ArrayLike) -> sparse.csr_matrix:
        """Expression of the cells ``rows``, in the given order: float32 (cell, gene of the table), linear scale."""
        return self.cells.rows(rows)

    def draw(self, description: int, chance: float) -> int:
        """Index in ``texts`` of the text that a random number ``chance`` in [0, 1) selects; 0 if the description has none."""
        if not len(self.phrasings[description]):
            return 0
        reached = int(np.searchsorted(np.cumsum(self.chances[description]), chance, side="right"))
        return int(self.phrasings[description][min(reached, len(self.phrasings[description]) - 1)])


def _stored(wanted: Sequence[CellProfile], settings: TextSettings) -> list[Description]:
    if settings.descriptions is None:
        return describe(wanted)
    known: Mapping[CellProfile, Description] = load_descriptions(settings.descriptions).by_profile()
    lacking = [profile for profile in wanted if profile not in known]
    if lacking:
        example = ", ".join(filter(None, (lacking[0].cell_type, lacking[0].tissue))) or "nothing known"
        raise InputError(
            f"{settings.descriptions} lacks {len(lacking):,} of {len(wanted):,} profiles of the corpus, such as "
            f"'{example}'. Run `okrcell enrich` on the corpus again; existing descriptions are kept."
        )
    return [known[profile] for profile in wanted]


def _fingerprint(corpus: Corpus, settings: TextSettings) -> str:
    if settings.descriptions is None:
        return corpus.fingerprint
    return hashlib.sha256(f"{corpus.fingerprint}{fingerprint(settings.descriptions)}".encode()).hexdigest()
