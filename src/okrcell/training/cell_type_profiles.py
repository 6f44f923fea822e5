"""Signatures of known cell types, from marker knowledge and from study profiles."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.genes import GeneTable, GeneVocabulary
from okrcell.cells.pca import log_normalize
from okrcell.data.dataset import PairDataset
from okrcell.descriptions.metadata_text import label_texts
from okrcell.knowledge.cell_type_markers import MarkerConsensus
from okrcell.model.signatures import SignatureHead, embed_types, knowledge_weight
from okrcell.ontology.ontology import ontology, prefix_of

MIN_TYPES = 4
"""Minimum number of types of a study: with fewer, a type's deviation from their mean is not specific."""
MIN_CELLS = 100
"""Minimum number of single cells of a study to contribute to the background."""
MIN_ROWS_PER_TYPE = 3
"""A study with fewer rows per type and sample contains averages, and each of its samples is treated as a study."""
MIN_AVERAGED_GENES = 2_000
"""Averages of fewer genes give no profiles: on a small panel the mean over types is not that of whole transcriptomes."""
WHOLE_TRANSCRIPTOME_FRACTION = 0.5
"""A study with at least this fraction of all genes measured whole transcriptomes, so that its totals are reliable."""


MAX_GENES = 300
"""Maximum number of genes of a type's profile over studies, ties included: further genes are noise."""
PRIOR_STUDIES = 1.0
"""Shrinkage, in studies: a profile of one study has weight 1/2, one of three studies 3/4."""
NEGATIVE_WEIGHT = 0.5
"""Weight of negative deviations relative to positive ones: a zero may also be a dropout."""
MIN_PROFILE_SPREAD = 0.05
ROUNDING_ERROR = 1e-5
"""Smaller values are rounding errors of subtracted profiles, set to 0."""
MIN_PROFILE_Z, MAX_PROFILE_Z = -3.0, 5.0
MAX_CONTRADICTORY_FRACTION = 0.34
"""Maximum fraction of contradictory profiles of a study; above it, all labels of the study are considered confused."""


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
        is_panel = cells.measured.sum() < MIN_AVERAGED_GENES and cells.measured.mean() < WHOLE_TRANSCRIPTOME_FRACTION
        if len(cell_types) >= MIN_TYPES and not (cells.is_averaged and is_panel):
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


@dataclass(frozen=True)
class KnownTypes:
    """Dense signatures from knowledge and from profiles, over the union of their types."""

    types: tuple[str, ...]
    knowledge: Float[np.ndarray, "type gene"]
    """Unit rows, or zero."""
    profiles: StudyProfiles

    def cells(self, held_out_group: str | None = None) -> Float[np.ndarray, "type gene"]:
        """Return the mean profile of each type over studies, unit rows, or zero.

        Parameters
        ----------
        held_out_group
            A group of studies to hold out, for scoring its own cells.
        """
        total, count = self._sums
        if held_out_group is not None:
            held_out_total, held_out_count = self._sum_profiles(np.flatnonzero(self.profiles.group == held_out_group))
            total, count = total - held_out_total, count - held_out_count
        mean = total / (np.maximum(count, 0) + PRIOR_STUDIES)
        mean[np.abs(mean) < ROUNDING_ERROR] = 0
        mean = np.where(mean < 0, NEGATIVE_WEIGHT * mean, mean)
        for row in mean:
            if np.count_nonzero(row) > MAX_GENES:
                row[np.abs(row) < -np.partition(-np.abs(row), MAX_GENES - 1)[MAX_GENES - 1]] = 0
        return unit_rows(mean)

    def signatures(self, held_out_group: str | None = None) -> sparse.csr_matrix:
        """Return both parts together, (type, gene); cached per group, because it takes a second."""
        if held_out_group not in self._cached_signatures:
            knowledge, cells = self.parts(held_out_group)
            self._cached_signatures[held_out_group] = sparse.csr_matrix(knowledge + cells)
        return self._cached_signatures[held_out_group]

    def z_scores(self, profile_index: int) -> Float[np.ndarray, " gene"]:
        """Return a profile scaled by the spread of all profiles in each gene."""
        profiles = self.profiles
        return (
            np.clip(profiles.difference[profile_index] / self._scale, MIN_PROFILE_Z, MAX_PROFILE_Z)
            * profiles.measured[profile_index]
        )

    @cached_property
    def profile_type(self) -> NDArray[np.intp]:
        """Return the index of the type of each profile."""
        index = {name: i for i, name in enumerate(self.types)}
        return np.array([index[name] for name in self.profiles.types], dtype=np.intp)[self.profiles.type]

    @cached_property
    def _cached_signatures(self) -> dict[str | None, sparse.csr_matrix]:
        return {}

    @cached_property
    def _scale(self) -> Float[np.ndarray, " gene"]:
        profiles = self.profiles
        return (
            np.sqrt((profiles.difference**2).sum(axis=0) / np.maximum(profiles.measured.sum(axis=0), 1))
            + MIN_PROFILE_SPREAD
        )

    @cached_property
    def _sums(self) -> tuple[Float[np.ndarray, "type gene"], Float[np.ndarray, "type gene"]]:
        return self._sum_profiles(np.arange(len(self.profiles.type)))

    def _sum_profiles(
        self, profile_indices: NDArray[np.intp]
    ) -> tuple[Float[np.ndarray, "type gene"], Float[np.ndarray, "type gene"]]:
        total = np.zeros((len(self.types), self.profiles.difference.shape[1]), dtype=np.float32)
        count = np.zeros_like(total)
        for i in profile_indices.tolist():
            total[self.profile_type[i]] += self.z_scores(i)
            count[self.profile_type[i]] += self.profiles.measured[i]
        return total, count

    def parts(
        self, held_out_group: str | None = None
    ) -> tuple[Float[np.ndarray, "type gene"], Float[np.ndarray, "type gene"]]:
        """Return the parts of each signature from knowledge and from cells."""
        cells = self.cells(held_out_group)
        weight = np.where(cells.any(axis=1), knowledge_weight(np.count_nonzero(self.knowledge, axis=1)), 1.0)[:, None]
        return self.knowledge * weight, cells * (1 - weight)


def build_known_types(
    profiles: StudyProfiles, marker_types: Sequence[str], strength: sparse.csr_matrix | None
) -> KnownTypes:
    """Combine marker knowledge and profiles.

    Parameters
    ----------
    marker_types
        Cell Ontology ids of the types in the marker tables.
    strength
        (type, gene of the vocabulary), signed; None without knowledge.
    """
    current = ontology("CL").current_id
    marker_types = [current(name) or "" for name in marker_types]
    types = tuple(sorted({*filter(None, marker_types), *profiles.types}))
    index = {name: i for i, name in enumerate(types)}
    knowledge = np.zeros((len(types), profiles.difference.shape[1]), dtype=np.float32)
    if strength is not None:
        dense = strength.toarray()
        for i, name in enumerate(marker_types):
            if name:
                knowledge[index[name]] += dense[i]
    return KnownTypes(types, unit_rows(knowledge), profiles)


def build_signature_head(
    known_types: KnownTypes,
    pool: Callable[[Sequence[str]], Float[torch.Tensor, "text width"]],
    project: Callable[[Float[torch.Tensor, "text width"]], Float[torch.Tensor, "text dim"]],
) -> SignatureHead:
    """Build the signature head.

    Parameters
    ----------
    pool
        Embeds texts with the text encoder, before the projector.
    project
        Projects these vectors into the shared space.
    """
    knowledge, cells = known_types.parts()
    texts = [label_texts(name) for name in known_types.types]
    gene_statistics = (known_types.profiles.level, known_types.profiles.spread, known_types.profiles.linear)
    return SignatureHead(
        known_types.types,
        *embed_types(texts, pool, project),
        sparse.csr_matrix(knowledge),
        sparse.csr_matrix(cells),
        *(torch.from_numpy(values.astype(np.float32)) for values in gene_statistics),
    )


def unit_rows(rows: Float[np.ndarray, "row gene"]) -> Float[np.ndarray, "row gene"]:
    """Normalize rows to unit length; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1)).astype(np.float32)


def drop_contradictory_studies(known_types: KnownTypes) -> tuple[KnownTypes, tuple[str, ...]]:
    """Drop profiles that do not resemble their type (ours; the reliability of pairs, for whole clusters).

    A profile is compared with the signature of its type from marker tables and the other studies, on the genes that its
    study measured. It is contradictory if the cosine is not above zero. If more than a third of a study's profiles are
    contradictory, as in one whose labels were shifted by one row, the whole study is dropped.

    Returns
    -------
    The known types without these profiles and without types that have no other source, and the groups of studies that
    were dropped as a whole.
    """
    all_profiles = known_types.profiles
    contradictory = np.zeros(len(all_profiles.type), dtype=bool)
    has_reference = np.zeros(len(all_profiles.type), dtype=bool)
    for group in np.unique(all_profiles.group).tolist():
        knowledge, cells = known_types.parts(group)
        for i in np.flatnonzero(all_profiles.group == group).tolist():
            expected = (
                knowledge[known_types.profile_type[i]] + cells[known_types.profile_type[i]]
            ) * all_profiles.measured[i]
            has_reference[i] = bool(expected.any())
            contradictory[i] = has_reference[i] and float(expected @ known_types.z_scores(i)) <= 0
    dropped_studies = tuple(
        group
        for group in np.unique(all_profiles.group).tolist()
        if _contradictory_fraction(
            contradictory[all_profiles.group == group], has_reference[all_profiles.group == group]
        )
        > MAX_CONTRADICTORY_FRACTION
    )
    retained = np.flatnonzero(~contradictory & ~np.isin(all_profiles.group, dropped_studies))
    type_ids, type_index = np.unique(all_profiles.type[retained], return_inverse=True)
    profiles = replace(
        all_profiles,
        types=tuple(all_profiles.types[i] for i in type_ids.tolist()),
        group=all_profiles.group[retained],
        type=type_index,
        difference=all_profiles.difference[retained],
        measured=all_profiles.measured[retained],
    )
    # A type without genes would be matched by its stored text, and predict nothing.
    has_reference = known_types.knowledge.any(axis=1) | np.isin(known_types.types, profiles.types)
    types = tuple(name for name, any_gene in zip(known_types.types, has_reference.tolist(), strict=True) if any_gene)
    return KnownTypes(types, known_types.knowledge[has_reference], profiles), dropped_studies


def _contradictory_fraction(contradictory: NDArray[np.bool_], has_reference: NDArray[np.bool_]) -> float:
    return float(contradictory.sum() / max(int(has_reference.sum()), 1))


def fit_known_types(
    pairs: PairDataset,
    rows: NDArray[np.int64],
    vocabulary: GeneVocabulary,
    markers: MarkerConsensus | None,
    overlapping: Mapping[str, str],
) -> tuple[KnownTypes, tuple[str, ...], NDArray[np.intp]]:
    """Combine marker knowledge with the profiles of the studies, without contradictory studies.

    Returns
    -------
    The signatures of the known types; the studies that were dropped; for each gene of the vocabulary its row in the gene table.
    """
    genes = vocabulary.rows(GeneTable.bundled())
    profiles = build_study_profiles(pairs, rows, genes, overlapping)
    strength = None if markers is None else markers.on_gene_axis(markers.gene_index(vocabulary), len(genes))
    known_types, dropped_studies = drop_contradictory_studies(
        build_known_types(profiles, () if markers is None else markers.types, strength)
    )
    return known_types, dropped_studies, genes
