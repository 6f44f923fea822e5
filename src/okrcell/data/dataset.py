"""Dataset of cells with the texts they are paired with."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy import sparse

from okrcell.data.corpus import Corpus
from okrcell.data.expression_noise import CellRows
from okrcell.descriptions.description import Description, load_descriptions
from okrcell.descriptions.template_writer import describe
from okrcell.errors import InputError
from okrcell.ontology.obs_profile import CellProfile, read_profiles
from okrcell.provenance import fingerprint
from okrcell.settings import Settings

ROWS_PER_READ = 4096
"""Number of cells that are read at once in a pass over the corpus."""


class TextSettings(Settings):
    """Source of descriptions, and the mixture of original and enriched texts (method 2.2, step 7)."""

    descriptions: Path | None = None
    """File written by `okrcell enrich`. Without it the original text is used: metadata and ontologies, by template."""
    mix: Literal["sample", "enriched", "original", "concatenate"] = "sample"
    """sample: one of the two texts is sampled at each visit (our reconstruction: the paper does not specify it).
    concatenate: the original text followed by the enriched one."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """With ``sample``, the probability of the enriched text (our reconstruction)."""


def text_probabilities(description: Description, settings: TextSettings) -> dict[str, float]:
    """Texts of a description with their sampling probabilities, which sum to 1; empty if the description was dropped."""
    if description.outcome == "dropped":
        return {}
    enriched = description.phrasings
    original = description.original or enriched
    if settings.mix == "concatenate":
        combined = original[0] if original[0] == enriched[0] else f"{original[0]} {enriched[0]}"
        return {combined: 1.0}
    enriched_fraction = {"sample": settings.share, "enriched": 1.0, "original": 0.0}[settings.mix]
    probabilities: dict[str, float] = {}
    for texts, fraction in ((enriched, enriched_fraction), (original, 1 - enriched_fraction)):
        for text in texts:
            # A fraction so small that it underflows counts as 0.
            if fraction / len(texts) > 0:
                probabilities[text] = probabilities.get(text, 0.0) + fraction / len(texts)
    return probabilities


@dataclass(frozen=True)
class PairDataset:
    """All cells of a corpus with their descriptions; cells with equal profiles share a description."""

    corpus: Corpus
    descriptions: tuple[Description, ...]
    texts: tuple[str, ...]
    """Distinct texts of all descriptions."""
    text_indices: tuple[NDArray[np.int32], ...]
    """For each description, the indices of its texts in ``texts``; empty if the cell type is unknown."""
    probabilities: tuple[NDArray[np.float64], ...]
    """For each description, the sampling probabilities of its texts; they sum to 1."""
    description: NDArray[np.int32]
    """For each cell of the corpus, the index of its description in ``descriptions``."""
    clean_description: NDArray[np.int32]
    """The same without label noise (`okrcell.data.label_noise`), so that noise does not change how often a cell is sampled."""
    cell_type: NDArray[np.int32]
    """For each description, the index of its cell type in ``cell_type_names``; -1 if unknown."""
    cell_type_names: tuple[str, ...]
    """Cell types: Cell Ontology ids where known, otherwise the author's labels."""
    fingerprint: str
    """Sha256 of the corpus and, if there is one, of the file of descriptions."""
    cells: CellRows
    """Source of expression: the corpus, or the corpus with expression noise (`okrcell.data.label_noise`)."""

    @classmethod
    def from_corpus(cls, corpus: Corpus, settings: TextSettings | None = None) -> Self:
        """Build the dataset of a corpus: one description per distinct profile.

        Raises
        ------
        InputError
            If the file of descriptions cannot be read, or lacks profiles of the corpus.
        """
        settings = TextSettings() if settings is None else settings
        obs_profiles = read_profiles(corpus.obs)
        descriptions = _load_or_describe(obs_profiles.distinct, settings)
        # A text that names only a tissue fits most cells of a batch, which would be wrong negatives of each other.
        text_probs = [text_probabilities(entry, settings) if entry.profile.cell_type else {} for entry in descriptions]
        texts = {
            text: index for index, text in enumerate(dict.fromkeys(text for probs in text_probs for text in probs))
        }
        names = [description.profile.cell_type_id or description.profile.cell_type for description in descriptions]
        cell_type_index = {name: type_index for type_index, name in enumerate(dict.fromkeys(filter(None, names)))}
        description = obs_profiles.codes.astype(np.int32)
        return cls(
            corpus,
            tuple(descriptions),
            tuple(texts),
            tuple(np.array([texts[text] for text in probs], dtype=np.int32) for probs in text_probs),
            tuple(np.array(list(probs.values()), dtype=np.float64) for probs in text_probs),
            description,
            description,
            np.array([cell_type_index.get(name, -1) for name in names], dtype=np.int32),
            tuple(cell_type_index),
            _dataset_fingerprint(corpus, settings),
            corpus,
        )

    @cached_property
    def has_text(self) -> NDArray[np.bool_]:
        """Bool, for each cell, whether it has a text of its cell type; only such cells are used for the contrastive loss."""
        is_described = np.array([len(texts) > 0 for texts in self.text_indices], dtype=bool)
        return is_described[self.description] if len(is_described) else np.zeros(0, dtype=bool)

    @property
    def has_noise(self) -> bool:
        """Whether ``cells`` has expression noise."""
        return self.cells is not self.corpus

    def expression(self, rows: ArrayLike) -> sparse.csr_matrix:
        """Expression of the cells ``rows``, in the given order: float32 (cell, gene of the table), linear scale."""
        return self.cells.rows(rows)

    def measured(self, rows: ArrayLike) -> NDArray[np.bool_]:
        """Mark the genes that the studies of these cells measured, those that any of their cells expresses: (cell, gene)."""
        studies, genes = self._study_genes
        return genes[studies[np.asarray(rows)]]

    @cached_property
    def _study_genes(self) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Index of each cell's study, and the genes of each study; one pass over the corpus."""
        names, studies = np.unique(self.corpus.obs["study"].astype(str).to_numpy(), return_inverse=True)
        genes = np.zeros((len(names), self.corpus.n_genes), dtype=bool)
        for index in range(len(names)):
            rows = np.flatnonzero(studies == index)
            for start in range(0, len(rows), ROWS_PER_READ):
                block = self.corpus.rows(rows[start : start + ROWS_PER_READ])
                genes[index, np.unique(block.indices[block.data > 0])] = True
        return studies, genes

    def sample_text(self, description: int, random_number: float) -> int:
        """Index in ``texts`` of the text that ``random_number`` in [0, 1) selects; 0 if the description has none."""
        if not len(self.text_indices[description]):
            return 0
        index = int(np.searchsorted(np.cumsum(self.probabilities[description]), random_number, side="right"))
        return int(self.text_indices[description][min(index, len(self.text_indices[description]) - 1)])


def _load_or_describe(required_profiles: Sequence[CellProfile], settings: TextSettings) -> list[Description]:
    if settings.descriptions is None:
        return describe(required_profiles)
    by_profile: Mapping[CellProfile, Description] = load_descriptions(settings.descriptions).by_profile()
    missing = [profile for profile in required_profiles if profile not in by_profile]
    if missing:
        example = ", ".join(filter(None, (missing[0].cell_type, missing[0].tissue))) or "nothing known"
        raise InputError(
            f"{settings.descriptions} lacks {len(missing):,} of {len(required_profiles):,} profiles of the corpus, such as "
            f"'{example}'. Run `okrcell enrich` on the corpus again; existing descriptions are kept."
        )
    return [by_profile[profile] for profile in required_profiles]


def _dataset_fingerprint(corpus: Corpus, settings: TextSettings) -> str:
    if settings.descriptions is None:
        return corpus.fingerprint
    return hashlib.sha256(f"{corpus.fingerprint}{fingerprint(settings.descriptions)}".encode()).hexdigest()
