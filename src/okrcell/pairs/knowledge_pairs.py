"""What is known of a type's genes becomes pairs, so that types without any cell are known too."""

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
    """How marker knowledge takes part in learning (method 11.1; ours)."""

    folder: Path | None = None
    """Folder of the knowledge files (`okrcell knowledge list`); by default the user's cache. Rows that were made from
    atlases which benchmarks use are never read."""
    share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a batch that are knowledge pairs: a type's text with a simulated cell. None by default: method 11.1 proposes
    0.05, but what was tried did no good (docs/results/bundled-model.md)."""
    trust: Annotated[float, Field(gt=0, le=1)] = 1.0
    """W of a knowledge pair. It is given, never judged, for the table of trust is of cells."""
    gene_start: bool = True
    """Let gene vectors start from what is written of each gene instead of from chance (`okrcell.model.gene_start`)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of where genes start that nothing is written of."""


class Simulated(NamedTuple):
    """Some knowledge pairs."""

    expression: sparse.csr_matrix
    """float32 (pair, gene of the table), linear."""
    text: NDArray[np.int64]
    """Place of each pair's text in `KnowledgePairs.texts`."""
    cell_type: NDArray[np.int64]
    """Place of its type in `KnowledgePairs.cell_type_names`."""


class KnowledgePairs:
    """Draws pairs of a cell type's text and a simulated cell of that type: its marker genes in a real cell of another.

    Its texts and types are those of the corpus, in their places, with those of the known types behind them: so one numbering
    holds for both, and cells and simulated cells of one type are of one type.

    Parameters
    ----------
    rows
        The cells that are learned from; markers are raised in these alone.

    Raises
    ------
    InputError
        If the cells express the markers of no type.
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
        """Cell Ontology ids of the types that pairs are drawn of."""
        if not self.types or not len(rows):
            raise InputError(
                f"The corpus expresses {ENOUGH} marker genes of none of the {len(known.types)} cell types that the "
                "knowledge files tell of. Leave knowledge out, or set knowledge.share to 0."
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
        # Cells as the corpus has them, whatever noise is laid on the pairs.
        self._cells, self._rows = pairs.corpus, rows
        self._kind = pairs.cell_type[pairs.description_before_noise[rows]]
        study = pairs.corpus.obs["study"].cat.codes.to_numpy()[rows]
        self._chance = np.cumsum(np.bincount(study)[study] ** -0.5)

    def drawn(self, pairs: int, rng: np.random.Generator) -> Simulated:
        """Draw so many pairs: every type, and every text of a type, has the same chance; the cells are of all studies.

        A study gives cells in proportion to the root of its size.
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
    """Count the positive markers of each type."""
    types = len(strength.indptr) - 1
    row = np.repeat(np.arange(types), np.diff(strength.indptr))
    return np.bincount(row[strength.data > 0], minlength=types)


def _of(strength: sparse.csr_matrix, row: int) -> Markers:
    own = slice(strength.indptr[row], strength.indptr[row + 1])
    order = np.argsort(strength.indices[own])
    return Markers(strength.indices[own][order].astype(np.int32), strength.data[own][order].astype(np.float32))


def _texts(cell_type: str) -> tuple[str, ...]:
    """Write of a type what stands for it among candidates, and what a cell of it would be described with."""
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
