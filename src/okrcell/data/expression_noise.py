"""Expression noise: dropout, ambient RNA, doublets and permuted values, reproducible per cell."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

MAX_MOLECULES = 1_000_000
"""Maximum number of molecules of a cell whose values are not counts, whatever its smallest value."""

MAX_PROFILE_CELLS = 2_000
"""Maximum number of cells for the mean profile of a study."""


class SparseCell(NamedTuple):
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


class ExpressionNoise(Protocol):
    """Protocol of a noise model for single cells."""

    def __call__(self, cell: SparseCell, row: int, rng: np.random.Generator) -> SparseCell:
        """Noisy version of ``cell``, which is row ``row`` of the corpus; ``cell`` is not modified."""
        ...


@dataclass(frozen=True)
class NoisyCells:
    """Expression in which some cells have noise; the noise of a cell depends on the seed and its row alone."""

    clean: CellRows
    is_noisy: NDArray[np.bool_]
    """Bool, for each row of the corpus, whether it has noise."""
    noise: ExpressionNoise
    seed: tuple[int, ...]

    def rows(self, indices: ArrayLike) -> sparse.csr_matrix:
        """Expression of the cells ``indices``, in the given order, with noise."""
        cell_ids = np.asarray(indices, dtype=np.int64).ravel()
        clean = self.clean.rows(cell_ids)
        positions = np.flatnonzero(self.is_noisy[cell_ids])
        if not len(positions):
            return clean
        cells = split_cells(clean)
        for position in positions.tolist():
            row = int(cell_ids[position])
            cells[position] = self.noise(cells[position], row, np.random.default_rng([*self.seed, row]))
        gene, value = (np.concatenate(parts) for parts in zip(*cells, strict=True))
        indptr = np.cumsum([0, *(len(cell.gene) for cell in cells)])
        noisy = sparse.csr_matrix((value, gene, indptr), shape=clean.shape)
        noisy.has_sorted_indices = True
        return noisy


@dataclass(frozen=True)
class DropoutNoise:
    """Loss of expression (method 8.2)."""

    rate: float
    """Probability that a value, or a molecule, is lost."""
    unit: Literal["values", "molecules"]

    def __call__(self, cell: SparseCell, row: int, rng: np.random.Generator) -> SparseCell:
        """Drop whole values, or thin the molecules of each gene binomially."""
        if self.unit == "molecules":
            return _thin_molecules(cell, self.rate, rng)[0]
        is_retained = rng.random(len(cell.value)) >= self.rate
        return SparseCell(cell.gene[is_retained], cell.value[is_retained])


class AmbientProfile(NamedTuple):
    """Mean profile of a study, as a model of ambient RNA."""

    gene: NDArray[np.int32]
    fractions: NDArray[np.float64]
    """Fraction of each gene in ``gene``; the fractions sum to 1."""

    @classmethod
    def from_cells(cls, cells: sparse.csr_matrix) -> "AmbientProfile":
        """Mean profile of cells; it has no genes if no cell has expression."""
        totals = np.asarray(cells.sum(axis=0, dtype=np.float64)).ravel()
        gene = np.flatnonzero(totals)
        return cls(gene.astype(np.int32), totals[gene] / max(totals.sum(), 1e-300))


@dataclass(frozen=True)
class AmbientNoise:
    """Replacement of a fraction of a cell's molecules by molecules sampled from the mean profile of its study.

    Sampled, because adding the mean itself would give every cell a little of every gene, which no assay shows.
    """

    fraction: float
    study: NDArray[np.integer]
    """For each row of the corpus, the index of its study."""
    profiles: dict[int, AmbientProfile]
    """Mean profile of each study, by index."""

    @classmethod
    def from_cells(
        cls, cells: CellRows, rows: NDArray[np.int64], study: NDArray[np.integer], fraction: float
    ) -> "AmbientNoise":
        """Estimate the mean profile of each study from its cells among ``rows``."""
        profiles: dict[int, AmbientProfile] = {}
        for study_id in np.unique(study[rows]).tolist():
            study_rows = rows[study[rows] == study_id]
            profiles[study_id] = AmbientProfile.from_cells(
                cells.rows(study_rows[:: -(-len(study_rows) // MAX_PROFILE_CELLS)])
            )
        return cls(fraction, study, profiles)

    def __call__(self, cell: SparseCell, row: int, rng: np.random.Generator) -> SparseCell:
        """Thin the cell, then fill it up to its number of molecules with ambient ones."""
        thinned, n_lost, unit = _thin_molecules(cell, self.fraction, rng)
        profile = self.profiles[int(self.study[row])]
        if not len(profile.gene):
            return cell
        ambient_counts = rng.multinomial(n_lost, profile.fractions)
        is_present = ambient_counts > 0
        return add_cells(
            thinned, SparseCell(profile.gene[is_present], (ambient_counts[is_present] * unit).astype(np.float32))
        )


@dataclass(frozen=True)
class DoubletNoise:
    """Sums of two cells."""

    clean: CellRows
    partner: NDArray[np.int64]
    """For each row of the corpus, the row of the added cell; -1 if there is none."""

    def __call__(self, cell: SparseCell, row: int, rng: np.random.Generator) -> SparseCell:
        """Add the partner to the cell."""
        return add_cells(cell, split_cells(self.clean.rows([self.partner[row]]))[0])


@dataclass(frozen=True)
class PermutationNoise:
    """Permutation of the values of a fraction of a cell's expressed genes (method 8.2, our reconstruction)."""

    fraction: float

    def __call__(self, cell: SparseCell, row: int, rng: np.random.Generator) -> SparseCell:
        """Sample the genes and permute their values."""
        positions = rng.permutation(len(cell.gene))[: round(self.fraction * len(cell.gene))]
        value = cell.value.copy()
        value[positions] = cell.value[rng.permutation(positions)]
        return SparseCell(cell.gene, value)


def add_cells(first: SparseCell, second: SparseCell) -> SparseCell:
    """Sum of two cells."""
    gene, index = np.unique(np.concatenate([first.gene, second.gene]), return_inverse=True)
    value = np.zeros(len(gene), dtype=np.float32)
    np.add.at(value, index, np.concatenate([first.value, second.value]))
    return SparseCell(gene, value)


def count_unit(value: NDArray[np.float32]) -> float:
    """Value of one molecule in a cell: 1 for counts, otherwise the smallest value, as for scaled counts."""
    values = value.astype(np.float64)
    if not len(values) or bool((values == np.rint(values)).all()):
        return 1.0
    return max(float(values.min()), float(values.sum()) / MAX_MOLECULES)


def split_cells(rows: sparse.csr_matrix) -> list[SparseCell]:
    """Split the rows of a matrix into cells."""
    ends = rows.indptr[1:-1]
    genes = np.split(np.asarray(rows.indices, dtype=np.int32), ends)
    values = np.split(np.asarray(rows.data, dtype=np.float32), ends)
    return [SparseCell(gene, value) for gene, value in zip(genes, values, strict=True)]


def _thin_molecules(cell: SparseCell, rate: float, rng: np.random.Generator) -> tuple[SparseCell, int, float]:
    """Remove each molecule with probability ``rate``; return the cell, the number of lost molecules and the value of one."""
    value = cell.value.astype(np.float64)
    unit = count_unit(cell.value)
    molecules = np.maximum(np.rint(value / unit), 1).astype(np.int64)
    remaining = rng.binomial(molecules, 1 - rate)
    is_present = remaining > 0
    remaining_value = (value[is_present] * (remaining[is_present] / molecules[is_present])).astype(np.float32)
    return SparseCell(cell.gene[is_present], remaining_value), int((molecules - remaining).sum()), unit
