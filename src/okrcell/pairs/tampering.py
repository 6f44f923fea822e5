"""Expression noise: dropout, ambient RNA, doublets and permuted values, reproducible per cell."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

MOST_MOLECULES = 1_000_000
"""Maximum number of molecules of a cell whose values are not counts, whatever its smallest value."""

CELLS_OF_A_SOUP = 2_000
"""Maximum number of cells for the mean profile of a study."""


class Cell(NamedTuple):
    """The expressed genes of one cell."""

    gene: NDArray[np.int32]
    """Rows of the gene table, ascending."""
    value: NDArray[np.float32]
    """Positive values on the linear scale."""


class CellRows(Protocol):
    """Protocol of sources of expression: the corpus, or the corpus with expression noise."""

    def rows(self, indices: ArrayLike) -> sparse.csr_matrix:
        """Expression of the cells ``indices``, in the given order: float32 (cell, gene), sorted genes, no stored zeros."""
        ...


class Harm(Protocol):
    """Protocol of a noise model for single cells."""

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Noisy version of ``cell``, which is row ``row`` of the corpus; ``cell`` is not modified."""
        ...


@dataclass(frozen=True)
class Tampered:
    """Expression in which some cells have noise; the noise of a cell depends on the seed and its row alone."""

    clean: CellRows
    harmed: NDArray[np.bool_]
    """Bool, for each row of the corpus, whether it has noise."""
    harm: Harm
    seed: tuple[int, ...]

    def rows(self, indices: ArrayLike) -> sparse.csr_matrix:
        """Expression of the cells ``indices``, in the given order, with noise."""
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
    """Loss of expression (method 8.2)."""

    lost: float
    """Probability that a value, or a molecule, is lost."""
    lose: Literal["values", "molecules"]

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Drop whole values, or thin the molecules of each gene binomially."""
        if self.lose == "molecules":
            return _thinned(cell, self.lost, rng)[0]
        kept = rng.random(len(cell.value)) >= self.lost
        return Cell(cell.gene[kept], cell.value[kept])


class Soup(NamedTuple):
    """Mean profile of a study, as a model of ambient RNA."""

    gene: NDArray[np.int32]
    share: NDArray[np.float64]
    """Fraction of each gene in ``gene``; the fractions sum to 1."""

    @classmethod
    def of(cls, cells: sparse.csr_matrix) -> "Soup":
        """Mean profile of cells; it has no genes if no cell has expression."""
        amount = np.asarray(cells.sum(axis=0, dtype=np.float64)).ravel()
        gene = np.flatnonzero(amount)
        return cls(gene.astype(np.int32), amount[gene] / max(amount.sum(), 1e-300))


@dataclass(frozen=True)
class Ambient:
    """Replacement of a fraction of a cell's molecules by molecules sampled from the mean profile of its study.

    Sampled, because adding the mean itself would give every cell a little of every gene, which no assay shows.
    """

    share: float
    study: NDArray[np.integer]
    """For each row of the corpus, the index of its study."""
    soup: dict[int, Soup]
    """Mean profile of each study, by index."""

    @classmethod
    def of(cls, cells: CellRows, rows: NDArray[np.int64], study: NDArray[np.integer], share: float) -> "Ambient":
        """Estimate the mean profile of each study from its cells among ``rows``."""
        soup: dict[int, Soup] = {}
        for number in np.unique(study[rows]).tolist():
            company = rows[study[rows] == number]
            soup[number] = Soup.of(cells.rows(company[:: -(-len(company) // CELLS_OF_A_SOUP)]))
        return cls(share, study, soup)

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Thin the cell, then fill it up to its number of molecules with ambient ones."""
        own, molecules, unit = _thinned(cell, self.share, rng)
        soup = self.soup[int(self.study[row])]
        if not len(soup.gene):
            return cell
        foreign = rng.multinomial(molecules, soup.share)
        there = foreign > 0
        return joined(own, Cell(soup.gene[there], (foreign[there] * unit).astype(np.float32)))


@dataclass(frozen=True)
class Doublets:
    """Sums of two cells."""

    clean: CellRows
    partner: NDArray[np.int64]
    """For each row of the corpus, the row of the added cell; -1 if there is none."""

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Add the partner to the cell."""
        return joined(cell, cells_of(self.clean.rows([self.partner[row]]))[0])


@dataclass(frozen=True)
class Permuted:
    """Permutation of the values of a fraction of a cell's expressed genes (method 8.2, our reconstruction)."""

    share: float

    def __call__(self, cell: Cell, row: int, rng: np.random.Generator) -> Cell:
        """Sample the genes and permute their values."""
        chosen = rng.permutation(len(cell.gene))[: round(self.share * len(cell.gene))]
        value = cell.value.copy()
        value[chosen] = cell.value[rng.permutation(chosen)]
        return Cell(cell.gene, value)


def joined(one: Cell, other: Cell) -> Cell:
    """Sum of two cells."""
    gene, place = np.unique(np.concatenate([one.gene, other.gene]), return_inverse=True)
    value = np.zeros(len(gene), dtype=np.float32)
    np.add.at(value, place, np.concatenate([one.value, other.value]))
    return Cell(gene, value)


def molecule(value: NDArray[np.float32]) -> float:
    """Value of one molecule in a cell: 1 for counts, otherwise the smallest value, as for scaled counts."""
    exact = value.astype(np.float64)
    if not len(exact) or bool((exact == np.rint(exact)).all()):
        return 1.0
    return max(float(exact.min()), float(exact.sum()) / MOST_MOLECULES)


def cells_of(rows: sparse.csr_matrix) -> list[Cell]:
    """Split the rows of a matrix into cells."""
    ends = rows.indptr[1:-1]
    genes = np.split(np.asarray(rows.indices, dtype=np.int32), ends)
    values = np.split(np.asarray(rows.data, dtype=np.float32), ends)
    return [Cell(gene, value) for gene, value in zip(genes, values, strict=True)]


def _thinned(cell: Cell, lost: float, rng: np.random.Generator) -> tuple[Cell, int, float]:
    """Remove each molecule with probability ``lost``; return the cell, the number of lost molecules and the value of one."""
    value = cell.value.astype(np.float64)
    unit = molecule(cell.value)
    molecules = np.maximum(np.rint(value / unit), 1).astype(np.int64)
    kept = rng.binomial(molecules, 1 - lost)
    there = kept > 0
    left = (value[there] * (kept[there] / molecules[there])).astype(np.float32)
    return Cell(cell.gene[there], left), int((molecules - kept).sum()), unit
