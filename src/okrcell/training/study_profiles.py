"""Expression profiles of the cell types of each study, relative to the study's other types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.samples.sample import log_normalised
from okrcell.knowledge.ontology import prefix_of
from okrcell.pairs.pair import Pairs

FEWEST_TYPES = 4
"""Minimum number of types of a study: with fewer, a type's deviation from their mean is not specific."""
FEWEST_CELLS = 100
"""Minimum number of single cells of a study to contribute to the background."""
ROWS_OF_AN_AVERAGE = 3
"""A study with fewer rows per type and sample contains averages, and each of its samples is treated as a study."""
WIDE = 0.5
"""A study with at least this fraction of all genes measured whole transcriptomes, so that its totals are reliable."""


@dataclass(frozen=True)
class StudyProfiles:
    """Profiles, one per cell type and study, and the background over studies."""

    types: tuple[str, ...]
    """Cell Ontology ids, ascending."""
    group: NDArray[np.str_]
    """For each profile, the group of its study; studies that share donors are one group."""
    type: Int[np.ndarray, " profile"]
    """Index in ``types``."""
    difference: Float[np.ndarray, "profile gene"]
    """Mean log expression of the type minus the mean over the study's types, with equal weight; 0 if not measured."""
    measured: Bool[np.ndarray, "profile gene"]
    level: Float[np.ndarray, " gene"]
    """Mean log expression over types and studies, with equal weight; then the spread within types, and the linear mean."""
    spread: Float[np.ndarray, " gene"]
    linear: Float[np.ndarray, " gene"]


@dataclass(frozen=True)
class StudyCells:
    """Cells of one study, or of one sample of a study of averages."""

    study: str
    logs: sparse.csr_matrix
    """(cell, gene of the vocabulary): log1p of counts per 10,000."""
    kind: NDArray[np.int32]
    """Index of the cell type, -1 if unknown."""
    averages: bool
    measured: Bool[np.ndarray, " gene"]
    """Genes that any cell of the study expresses."""


def study_profiles(
    pairs: Pairs, rows: NDArray[np.int64], genes: NDArray[np.intp], overlapping: Mapping[str, str]
) -> StudyProfiles:
    """Compute the profiles of the corpus' studies.

    Parameters
    ----------
    rows
        Rows of the corpus that may be trained on.
    genes
        For each gene of the vocabulary its row in the gene table.
    overlapping
        Study to the name of its group, for studies that share donors.
    """
    names = pairs.cell_type_names
    ontology_type = np.array([prefix_of(name) == "CL" for name in names], dtype=bool)
    found: list[tuple[str, str, NDArray[np.float32], NDArray[np.bool_]]] = []
    sums = {wide: np.zeros((4, len(genes))) for wide in (True, False)}
    for cells in studies(pairs, rows, genes):
        kinds = np.unique(cells.kind)
        means = np.stack([_mean(cells.logs[np.flatnonzero(cells.kind == kind)]) for kind in kinds])
        if len(kinds) >= FEWEST_TYPES:
            usual = means.mean(axis=0)
            found += [
                (
                    overlapping.get(cells.study, cells.study),
                    names[kind],
                    (mean - usual).astype(np.float32),
                    cells.measured,
                )
                for kind, mean in zip(kinds.tolist(), means, strict=True)
                if kind >= 0 and ontology_type[kind]
            ]
        if not cells.averages and len(cells.kind) >= FEWEST_CELLS:
            linear = np.mean([_linear(cells.logs[np.flatnonzero(cells.kind == kind)]) for kind in kinds], axis=0)
            within = _within(cells, kinds, means)
            sums[bool(cells.measured.mean() >= WIDE)] += np.stack(
                [means.mean(axis=0), within, linear, cells.measured.astype(float)]
            )
    types = tuple(sorted({name for _, name, _, _ in found}))
    place = {name: number for number, name in enumerate(types)}
    # Without whole-transcriptome studies, the panels give the background.
    level, squares, linear, seen = sums[bool(sums[True].any())]
    seen = np.maximum(seen, 1)
    empty = np.zeros((0, len(genes)))
    return StudyProfiles(
        types,
        np.array([group for group, _, _, _ in found], dtype=np.str_),
        np.array([place[name] for _, name, _, _ in found], dtype=np.intp),
        np.stack([difference for _, _, difference, _ in found]) if found else empty.astype(np.float32),
        np.stack([measured for _, _, _, measured in found]) if found else empty.astype(bool),
        level / seen,
        np.sqrt(squares / seen),
        linear / seen,
    )


def studies(pairs: Pairs, rows: NDArray[np.int64], genes: NDArray[np.intp]) -> Iterator[StudyCells]:
    """Iterate over the studies of the given rows; studies of averages are split by sample."""
    obs = pairs.corpus.obs
    study = obs["study"].to_numpy().astype(str)
    batch = obs["batch"].to_numpy().astype(str)
    kind = pairs.cell_type[pairs.description]
    for name in np.unique(study[rows]).tolist():
        mine = np.sort(rows[study[rows] == name])
        logs = sparse.csr_matrix(log_normalised(sparse.csr_matrix(pairs.corpus.rows(mine)))[:, genes])
        measured = np.asarray(logs.getnnz(axis=0) > 0)
        averages = holds_averages(batch[mine], kind[mine])
        parts = [batch[mine] == one for one in np.unique(batch[mine])] if averages else [np.ones(len(mine), dtype=bool)]
        for part in parts:
            some = np.flatnonzero(part)
            yield StudyCells(name, sparse.csr_matrix(logs[some]), kind[mine[some]], averages, measured)


def holds_averages(batch: NDArray[np.str_], kind: NDArray[np.int32]) -> bool:
    """Whether the rows of a study are cluster averages, not cells: few types then have a second row in a sample."""
    return len(kind) < ROWS_OF_AN_AVERAGE * np.unique(np.stack([batch, kind.astype(str)]), axis=1).shape[1]


def _mean(logs: sparse.csr_matrix) -> NDArray[np.float64]:
    return np.asarray(logs.mean(axis=0)).ravel()


def _linear(logs: sparse.csr_matrix) -> NDArray[np.float64]:
    return _mean(sparse.csr_matrix((np.expm1(logs.data), logs.indices, logs.indptr), shape=logs.shape))


def _within(
    cells: StudyCells, kinds: NDArray[np.int32], means: Float[np.ndarray, "type gene"]
) -> Float[np.ndarray, " gene"]:
    """Variance within types, averaged over types."""
    logs = cells.logs
    square = [_mean(sparse.csr_matrix(logs[np.flatnonzero(cells.kind == kind)].power(2))) for kind in kinds]
    return np.maximum(np.stack(square) - means**2, 0).mean(axis=0)
