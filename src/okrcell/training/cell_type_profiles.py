"""Signatures of known cell types, from marker knowledge and from study profiles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.ontology.ontology import ontology
from okrcell.model.signatures import SignatureHead
from okrcell.texts.describe import label_texts
from okrcell.training.study_profiles import StudyProfiles

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
KNOWLEDGE_WEIGHT = 0.5
"""Weight of marker tables, the rest is that of cells; a type with a single source gives it weight 1."""


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
        has_knowledge, has_cells = self.knowledge.any(axis=1), cells.any(axis=1)
        return self.knowledge * np.where(has_cells, KNOWLEDGE_WEIGHT, 1.0)[:, None], cells * np.where(
            has_knowledge, 1 - KNOWLEDGE_WEIGHT, 1.0
        )[:, None]


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
    pooled = pool([text for type_texts in texts for text in type_texts])
    key_type = np.repeat(np.arange(len(texts)), [len(type_texts) for type_texts in texts])
    projected = project(pooled)
    mean = torch.zeros(len(texts), projected.shape[1]).index_add_(0, torch.from_numpy(key_type), projected)
    gene_statistics = (known_types.profiles.level, known_types.profiles.spread, known_types.profiles.linear)
    return SignatureHead(
        known_types.types,
        torch.nn.functional.normalize(pooled, dim=1),
        torch.from_numpy(key_type),
        torch.nn.functional.normalize(mean, dim=1),
        sparse.csr_matrix(knowledge),
        sparse.csr_matrix(cells),
        *(torch.from_numpy(values.astype(np.float32)) for values in gene_statistics),
    )


def unit_rows(rows: Float[np.ndarray, "row gene"]) -> Float[np.ndarray, "row gene"]:
    """Normalize rows to unit length; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1)).astype(np.float32)
