"""Cells whose expression is spoiled on purpose, always in the same way."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

MOST_MOLECULES = 1_000_000
"""No cell is read as more molecules than so many, however small its smallest value."""

CELLS_OF_A_SOUP = 2_000
"""So many cells of a study at most make its mean profile."""


class Cell(NamedTuple):
    """The expressed genes of one cell."""

    gene: NDArray[np.int32]
    """Rows of the gene table, ascending."""
    value: NDArray[np.float32]
    """Above 0, on the linear scale."""


class CellRows(Protocol):
    """Where expression is read: the corpus, or the corpus with some cells spoiled."""

    def rows(self, indices: ArrayLike) -> sparse.csr_matrix:
        """Return the cells ``indices`` in the order asked: float32 (cell, gene), genes sorted, no stored zeros."""
        ...


class Harm(Protocol):
    """A way to spoil a cell."""

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Return what becomes of the cell in row ``row`` of the corpus; ``cell`` itself is left as it is."""
        ...


@dataclass(frozen=True)
class Tampered:
    """Rows of which some are spoiled; what becomes of a cell depends on the seed and its row alone."""

    clean: CellRows
    harmed: NDArray[np.bool_]
    """For each row of the corpus, whether it is spoiled."""
    harm: Harm
    seed: tuple[int, ...]

    def rows(self, indices: ArrayLike) -> sparse.csr_matrix:
        """Return cells as the corpus does, in the order asked; the spoiled ones are spoiled."""
        asked = np.asarray(indices, dtype=np.int64).ravel()
        clean = self.clean.rows(asked)
        places = np.flatnonzero(self.harmed[asked])
        if not len(places):
            return clean
        cells = cells_of(clean)
        for place in places.tolist():
            row = int(asked[place])
            cells[place] = self.harm(cells[place], row, np.random.default_rng([*self.seed, row]))
        gene, value = (np.concatenate(parts) for parts in zip(*cells, strict=True))
        indptr = np.cumsum([0, *(len(cell.gene) for cell in cells)])
        spoiled = sparse.csr_matrix((value, gene, indptr), shape=clean.shape)
        spoiled.has_sorted_indices = True
        return spoiled


@dataclass(frozen=True)
class Dropout:
    """Expression is lost (method 8.2)."""

    lost: float
    """Chance of each value, or of each molecule, to be lost."""
    lose: Literal["values", "molecules"]

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Lose whole values, or thin each binomially."""
        if self.lose == "molecules":
            return _thinned(cell, self.lost, rng)[0]
        kept = rng.random(len(cell.value)) >= self.lost
        return Cell(cell.gene[kept], cell.value[kept])


class Soup(NamedTuple):
    """What floats around the cells of a study."""

    gene: NDArray[np.int32]
    share: NDArray[np.float64]
    """Of each of those genes; they add up to 1."""

    @classmethod
    def of(cls, cells: sparse.csr_matrix) -> "Soup":
        """Take the mean profile of some cells; without any expression it has no genes."""
        amount = np.asarray(cells.sum(axis=0, dtype=np.float64)).ravel()
        gene = np.flatnonzero(amount)
        return cls(gene.astype(np.int32), amount[gene] / max(amount.sum(), 1e-300))


@dataclass(frozen=True)
class Ambient:
    """A share of a cell's molecules is not its own, but drawn from the mean profile of its study.

    Drawn, since a mean laid over a cell would give it a little of every gene, which no assay shows.
    """

    share: float
    study: NDArray[np.integer]
    """For each row of the corpus, a number for its study."""
    soup: dict[int, Soup]
    """By that number."""

    @classmethod
    def of(cls, cells: CellRows, rows: NDArray[np.int64], study: NDArray[np.integer], share: float) -> "Ambient":
        """Take the mean profile of each study from its cells among ``rows``."""
        soup: dict[int, Soup] = {}
        for number in np.unique(study[rows]).tolist():
            company = rows[study[rows] == number]
            soup[number] = Soup.of(cells.rows(company[:: -(-len(company) // CELLS_OF_A_SOUP)]))
        return cls(share, study, soup)

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Thin the cell, and fill it up to as many molecules as it had."""
        own, molecules, unit = _thinned(cell, self.share, rng)
        soup = self.soup[int(self.study[row])]
        if not len(soup.gene):
            return cell
        foreign = rng.multinomial(molecules, soup.share)
        there = foreign > 0
        return joined(own, Cell(soup.gene[there], (foreign[there] * unit).astype(np.float32)))


@dataclass(frozen=True)
class Doublets:
    """Two cells were taken for one."""

    clean: CellRows
    partner: NDArray[np.int64]
    """For each row of the corpus, the row of the other cell; -1 where there is none."""

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Add the other cell to this one."""
        return joined(cell, cells_of(self.clean.rows([self.partner[row]]))[0])


@dataclass(frozen=True)
class Permuted:
    """Values of a share of a cell's expressed genes are permuted among these genes (method 8.2, our reconstruction)."""

    share: float

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Choose the genes and permute their values."""
        chosen = rng.permutation(len(cell.gene))[: round(self.share * len(cell.gene))]
        value = cell.value.copy()
        value[chosen] = cell.value[rng.permutation(chosen)]
        return Cell(cell.gene, value)


def joined(one: Cell, other: Cell) -> Cell:
    """Add two cells gene by gene."""
    gene, place = np.unique(np.concatenate([one.gene, other.gene]), return_inverse=True)
    value = np.zeros(len(gene), dtype=np.float32)
    np.add.at(value, place, np.concatenate([one.value, other.value]))
    return Cell(gene, value)


def molecule(value: NDArray[np.float32]) -> float:
    """Tell how much of a cell's values one molecule is.

    Where values are no counts, the cell's smallest value is taken for one molecule: true of counts that were scaled.
    """
    exact = value.astype(np.float64)
    if not len(exact) or bool((exact == np.rint(exact)).all()):
        return 1.0
    return max(float(exact.min()), float(exact.sum()) / MOST_MOLECULES)


def cells_of(rows: sparse.csr_matrix) -> list[Cell]:
    """Take rows apart."""
    ends = rows.indptr[1:-1]
    genes = np.split(np.asarray(rows.indices, dtype=np.int32), ends)
    values = np.split(np.asarray(rows.data, dtype=np.float32), ends)
    return [Cell(gene, value) for gene, value in zip(genes, values, strict=True)]


def _thinned(cell: Cell, lost: float, rng: np.random.Generator) -> tuple[Cell, int, float]:
    """Lose each molecule with the chance ``lost``; also return how many were lost, and how much one of them is."""
    value = cell.value.astype(np.float64)
    unit = molecule(cell.value)
    molecules = np.maximum(np.rint(value / unit), 1).astype(np.int64)
    kept = rng.binomial(molecules, 1 - lost)
    there = kept > 0
    left = (value[there] * (kept[there] / molecules[there])).astype(np.float32)
    return Cell(cell.gene[there], left), int((molecules - kept).sum()), unit
