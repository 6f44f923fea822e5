"""Pairs simulated from marker knowledge, for cell types with or without cells in the corpus."""

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError
from okrcell.knowledge.ontology import ontology
from okrcell.knowledge.type_genes import ENOUGH, TypeGenes
from okrcell.pairs.pair import Pairs
from okrcell.pairs.pattern import NOTHING, Markers, pattern
from okrcell.pairs.tampering import Cell, cells_of
from okrcell.settings import Settings
from okrcell.texts.describe import describe, label_texts
from okrcell.texts.profile import CellProfile


class KnowledgeSettings(Settings):
    """Use of marker knowledge in training (method 11.1; ours)."""

    folder: Path | None = None
    """Folder of the knowledge files (`okrcell knowledge list`); by default the user's cache. Rows derived from atlases that
    benchmarks use are never read."""
    share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of a batch that are simulated pairs: a text of a cell type with a simulated cell. 0 by default: method 11.1
    proposes 0.05, but it gave no improvement (docs/results/bundled-model.md)."""
    trust: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Reliability weight W of a simulated pair. It is constant: reliability is estimated for measured cells only."""
    gene_start: bool = True
    """Initialise gene embeddings from gene texts instead of at random (`okrcell.model.gene_start`)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed for the embeddings of genes without a text."""


class Simulated(NamedTuple):
    """A batch of simulated pairs."""

    expression: sparse.csr_matrix
    """float32 (pair, gene of the table), linear scale."""
    text: NDArray[np.int64]
    """Index of each pair's text in `KnowledgePairs.texts`."""
    cell_type: NDArray[np.int64]
    """Index of each pair's cell type in `KnowledgePairs.cell_type_names`."""


class KnowledgePairs:
    """Sampler of simulated pairs: a text of a cell type and a background cell in which the markers of this type are raised.

    Texts and cell types extend those of the corpus: indices below ``len(pairs.texts)`` and ``len(pairs.cell_type_names)``
    keep their meaning, so that measured and simulated cells of one type share an index.

    Parameters
    ----------
    pairs
        Measured pairs of the corpus.
    rows
        Training cells, as rows of the corpus; only these are used as background cells.
    known
        Marker genes per cell type.
    settings
        Fraction, weight and seed of simulated pairs.

    Raises
    ------
    InputError
        If no cell type has enough markers expressed in the corpus, or there is no training cell.
    """

    def __init__(self, pairs: Pairs, rows: NDArray[np.int64], known: TypeGenes, settings: KnowledgeSettings) -> None:
        table = GeneTable.bundled()
        self.settings = settings
        self._scale = pairs.corpus.gene_scale()
        strength = known.on(table.resolve(known.genes).row, len(table))
        strength = strength.multiply((self._scale > 0)[None, :]).tocsr()
        self.types = tuple(
            name for name, enough in zip(known.types, _markers(strength) >= ENOUGH, strict=True) if enough
        )
        """Cell Ontology ids of the simulated cell types."""
        if not self.types or not len(rows):
            raise InputError(
                f"The corpus does not express {ENOUGH} marker genes of any of the {len(known.types)} cell types in the "
                "knowledge files. Remove knowledge from the settings, or set knowledge.share to 0."
            )
        self._genes = {name: _of(strength, known.place[name]) for name in self.types}
        written = [_texts(name) for name in self.types]
        place = {text: number for number, text in enumerate(pairs.texts)}
        for text in (text for some in written for text in some):
            place.setdefault(text, len(place))
        self.texts = tuple(place)
        self._text = [np.array([place[text] for text in some]) for some in written]
        number = {name: number for number, name in enumerate(pairs.cell_type_names)}
        for name in self.types:
            number.setdefault(name, len(number))
        self.cell_type_names = tuple(number)
        self._cell_type = np.array([number[name] for name in self.types])
        # Cells of the corpus itself, without the noise that may be added to the pairs.
        self._cells, self._rows = pairs.corpus, rows
        self._kind = pairs.cell_type[pairs.description_before_noise[rows]]
        study = pairs.corpus.obs["study"].cat.codes.to_numpy()[rows]
        self._chance = np.cumsum(np.bincount(study)[study] ** -0.5)

    def drawn(self, pairs: int, rng: np.random.Generator) -> Simulated:
        """Sample ``pairs`` simulated pairs: uniform over cell types and over the texts of a type.

        Background cells are sampled from all studies, each in proportion to the square root of its size.
        """
        chosen = rng.integers(0, len(self.types), pairs)
        text = np.array([rng.choice(self._text[one]) for one in chosen.tolist()], dtype=np.int64)
        behind = np.searchsorted(self._chance, rng.random(pairs) * self._chance[-1], side="right")
        cells = [
            pattern(cell, self._of_kind(kind), self._genes[self.types[one]], self._scale, rng)
            for cell, kind, one in zip(
                cells_of(self._cells.rows(self._rows[behind])),
                self._kind[behind].tolist(),
                chosen.tolist(),
                strict=True,
            )
        ]
        return Simulated(_matrix(cells, len(self._scale)), text, self._cell_type[chosen])

    def _of_kind(self, kind: int) -> Markers:
        return self._genes.get(self.cell_type_names[kind], NOTHING) if kind >= 0 else NOTHING


def _markers(strength: sparse.csr_matrix) -> NDArray[np.integer]:
    """Number of positive markers of each type."""
    types = len(strength.indptr) - 1
    row = np.repeat(np.arange(types), np.diff(strength.indptr))
    return np.bincount(row[strength.data > 0], minlength=types)


def _of(strength: sparse.csr_matrix, row: int) -> Markers:
    own = slice(strength.indptr[row], strength.indptr[row + 1])
    order = np.argsort(strength.indices[own])
    return Markers(strength.indices[own][order].astype(np.int32), strength.data[own][order].astype(np.float32))


def _texts(cell_type: str) -> tuple[str, ...]:
    """Texts of a cell type: its candidate prompts and the description of a cell of this type."""
    term = ontology("CL").term(cell_type)
    (description,) = describe([CellProfile(cell_type=term.name, cell_type_id=cell_type)])
    return tuple(dict.fromkeys((*label_texts(cell_type), *description.phrasings)))


def _matrix(cells: list[Cell], genes: int) -> sparse.csr_matrix:
    gene = np.concatenate([np.zeros(0, dtype=np.int32), *(cell.gene for cell in cells)])
    value = np.concatenate([np.zeros(0, dtype=np.float32), *(cell.value for cell in cells)])
    indptr = np.cumsum([0, *(len(cell.gene) for cell in cells)])
    matrix = sparse.csr_matrix((value, gene, indptr), shape=(len(cells), genes))
    matrix.has_sorted_indices = True
    return matrix
