"""Expression profiles of the cell types of each study, relative to the study's other types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.pca import log_normalize
from okrcell.ontology.ontology import prefix_of
from okrcell.data.dataset import PairDataset

MIN_TYPES = 4
"""Minimum number of types of a study: with fewer, a type's deviation from their mean is not specific."""
MIN_CELLS = 100
"""Minimum number of single cells of a study to contribute to the background."""
MIN_ROWS_PER_TYPE = 3
"""A study with fewer rows per type and sample contains averages, and each of its samples is treated as a study."""
WHOLE_TRANSCRIPTOME_FRACTION = 0.5
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
    log_expr: sparse.csr_matrix
    """(cell, gene of the vocabulary): log1p of counts per 10,000."""
    cell_type: NDArray[np.int32]
    """Index of the cell type, -1 if unknown."""
    is_averaged: bool
    measured: Bool[np.ndarray, " gene"]
    """Genes that any cell of the study expresses."""


def build_study_profiles(
    pairs: PairDataset, rows: NDArray[np.int64], genes: NDArray[np.intp], overlapping: Mapping[str, str]
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
    is_ontology_type = np.array([prefix_of(name) == "CL" for name in names], dtype=bool)
    profiles: list[tuple[str, str, NDArray[np.float32], NDArray[np.bool_]]] = []
    sums = {whole_transcriptome: np.zeros((4, len(genes))) for whole_transcriptome in (True, False)}
    for cells in iter_studies(pairs, rows, genes):
        cell_types = np.unique(cells.cell_type)
        means = np.stack(
            [_mean(cells.log_expr[np.flatnonzero(cells.cell_type == cell_type)]) for cell_type in cell_types]
        )
        if len(cell_types) >= MIN_TYPES:
            study_mean = means.mean(axis=0)
            profiles += [
                (
                    overlapping.get(cells.study, cells.study),
                    names[cell_type],
                    (mean - study_mean).astype(np.float32),
                    cells.measured,
                )
                for cell_type, mean in zip(cell_types.tolist(), means, strict=True)
                if cell_type >= 0 and is_ontology_type[cell_type]
            ]
        if not cells.is_averaged and len(cells.cell_type) >= MIN_CELLS:
            linear = np.mean(
                [
                    _linear_mean(cells.log_expr[np.flatnonzero(cells.cell_type == cell_type)])
                    for cell_type in cell_types
                ],
                axis=0,
            )
            within_variance = _within_variance(cells, cell_types, means)
            sums[bool(cells.measured.mean() >= WHOLE_TRANSCRIPTOME_FRACTION)] += np.stack(
                [means.mean(axis=0), within_variance, linear, cells.measured.astype(float)]
            )
    types = tuple(sorted({name for _, name, _, _ in profiles}))
    index = {name: i for i, name in enumerate(types)}
    # Without whole-transcriptome studies, the panels give the background.
    level, squares, linear, n_studies = sums[bool(sums[True].any())]
    n_studies = np.maximum(n_studies, 1)
    empty = np.zeros((0, len(genes)))
    return StudyProfiles(
        types,
        np.array([group for group, _, _, _ in profiles], dtype=np.str_),
        np.array([index[name] for _, name, _, _ in profiles], dtype=np.intp),
        np.stack([difference for _, _, difference, _ in profiles]) if profiles else empty.astype(np.float32),
        np.stack([measured for _, _, _, measured in profiles]) if profiles else empty.astype(bool),
        level / n_studies,
        np.sqrt(squares / n_studies),
        linear / n_studies,
    )


def iter_studies(pairs: PairDataset, rows: NDArray[np.int64], genes: NDArray[np.intp]) -> Iterator[StudyCells]:
    """Iterate over the studies of the given rows; studies of averages are split by sample."""
    obs = pairs.corpus.obs
    study_of_cell = obs["study"].to_numpy().astype(str)
    batch = obs["batch"].to_numpy().astype(str)
    cell_type = pairs.cell_type[pairs.description]
    for name in np.unique(study_of_cell[rows]).tolist():
        study_rows = np.sort(rows[study_of_cell[rows] == name])
        log_expr = sparse.csr_matrix(log_normalize(sparse.csr_matrix(pairs.corpus.rows(study_rows)))[:, genes])
        measured = np.asarray(log_expr.getnnz(axis=0) > 0)
        is_averaged = contains_averages(batch[study_rows], cell_type[study_rows])
        sample_masks = (
            [batch[study_rows] == sample for sample in np.unique(batch[study_rows])]
            if is_averaged
            else [np.ones(len(study_rows), dtype=bool)]
        )
        for sample_mask in sample_masks:
            cell_index = np.flatnonzero(sample_mask)
            yield StudyCells(
                name, sparse.csr_matrix(log_expr[cell_index]), cell_type[study_rows[cell_index]], is_averaged, measured
            )


def contains_averages(batch: NDArray[np.str_], cell_type: NDArray[np.int32]) -> bool:
    """Whether the rows of a study are cluster averages, not cells: few types then have a second row in a sample."""
    return len(cell_type) < MIN_ROWS_PER_TYPE * np.unique(np.stack([batch, cell_type.astype(str)]), axis=1).shape[1]


def _mean(log_expr: sparse.csr_matrix) -> NDArray[np.float64]:
    return np.asarray(log_expr.mean(axis=0)).ravel()


def _linear_mean(log_expr: sparse.csr_matrix) -> NDArray[np.float64]:
    return _mean(sparse.csr_matrix((np.expm1(log_expr.data), log_expr.indices, log_expr.indptr), shape=log_expr.shape))


def _within_variance(
    cells: StudyCells, cell_types: NDArray[np.int32], means: Float[np.ndarray, "type gene"]
) -> Float[np.ndarray, " gene"]:
    """Variance within types, averaged over types."""
    log_expr = cells.log_expr
    mean_squares = [
        _mean(sparse.csr_matrix(log_expr[np.flatnonzero(cells.cell_type == cell_type)].power(2)))
        for cell_type in cell_types
    ]
    return np.maximum(np.stack(mean_squares) - means**2, 0).mean(axis=0)
