"""Signatures of known cell types, from marker knowledge and from study profiles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.knowledge.ontology import ontology
from okrcell.model.signature_head import SignatureHead
from okrcell.texts.describe import label_texts
from okrcell.training.study_profiles import StudyProfiles

MOST_GENES = 300
"""Maximum number of genes of a type's profile over studies, ties included: further genes are noise."""
DOUBT = 1.0
"""Shrinkage, in studies: a profile of one study has weight 1/2, one of three studies 3/4."""
LESS = 0.5
"""Weight of negative deviations relative to positive ones: a zero may also be a dropout."""
LEAST_SPREAD = 0.05
TINY = 1e-5
"""Smaller values are rounding errors of subtracted profiles, set to 0."""
LOWEST, HIGHEST = -3.0, 5.0
SHARE = 0.5
"""Weight of marker tables, the rest is that of cells; a type with a single source gives it weight 1."""


@dataclass(frozen=True)
class KnownTypes:
    """Dense signatures from knowledge and from profiles, over the union of their types."""

    types: tuple[str, ...]
    knowledge: Float[np.ndarray, "type gene"]
    """Unit rows, or zero."""
    profiles: StudyProfiles

    def cells(self, without: str | None = None) -> Float[np.ndarray, "type gene"]:
        """Return the mean profile of each type over studies, unit rows, or zero.

        Parameters
        ----------
        without
            A group of studies to hold out, for scoring its own cells.
        """
        total, count = self._sums
        if without is not None:
            gone_total, gone_count = self._summed(np.flatnonzero(self.profiles.group == without))
            total, count = total - gone_total, count - gone_count
        mean = total / (np.maximum(count, 0) + DOUBT)
        mean[np.abs(mean) < TINY] = 0
        mean = np.where(mean < 0, LESS * mean, mean)
        for row in mean:
            if np.count_nonzero(row) > MOST_GENES:
                row[np.abs(row) < -np.partition(-np.abs(row), MOST_GENES - 1)[MOST_GENES - 1]] = 0
        return unit(mean)

    def signatures(self, without: str | None = None) -> sparse.csr_matrix:
        """Return both parts together, (type, gene); cached per group, because it takes a second."""
        if without not in self._kept:
            knowledge, cells = self.parts(without)
            self._kept[without] = sparse.csr_matrix(knowledge + cells)
        return self._kept[without]

    def standard(self, profile: int) -> Float[np.ndarray, " gene"]:
        """Return a profile scaled by the spread of all profiles in each gene."""
        found = self.profiles
        return np.clip(found.difference[profile] / self._scale, LOWEST, HIGHEST) * found.measured[profile]

    @cached_property
    def owner(self) -> NDArray[np.intp]:
        """Return the index of the type of each profile."""
        place = {name: number for number, name in enumerate(self.types)}
        return np.array([place[name] for name in self.profiles.types], dtype=np.intp)[self.profiles.type]

    @cached_property
    def _kept(self) -> dict[str | None, sparse.csr_matrix]:
        return {}

    @cached_property
    def _scale(self) -> Float[np.ndarray, " gene"]:
        found = self.profiles
        return np.sqrt((found.difference**2).sum(axis=0) / np.maximum(found.measured.sum(axis=0), 1)) + LEAST_SPREAD

    @cached_property
    def _sums(self) -> tuple[Float[np.ndarray, "type gene"], Float[np.ndarray, "type gene"]]:
        return self._summed(np.arange(len(self.profiles.type)))

    def _summed(self, some: NDArray[np.intp]) -> tuple[Float[np.ndarray, "type gene"], Float[np.ndarray, "type gene"]]:
        total = np.zeros((len(self.types), self.profiles.difference.shape[1]), dtype=np.float32)
        count = np.zeros_like(total)
        for number in some.tolist():
            total[self.owner[number]] += self.standard(number)
            count[self.owner[number]] += self.profiles.measured[number]
        return total, count

    def parts(
        self, without: str | None = None
    ) -> tuple[Float[np.ndarray, "type gene"], Float[np.ndarray, "type gene"]]:
        """Return the parts of each signature from knowledge and from cells."""
        cells = self.cells(without)
        told, shown = self.knowledge.any(axis=1), cells.any(axis=1)
        return self.knowledge * np.where(shown, SHARE, 1.0)[:, None], cells * np.where(told, 1 - SHARE, 1.0)[:, None]


def known_types(profiles: StudyProfiles, told: Sequence[str], strength: sparse.csr_matrix | None) -> KnownTypes:
    """Combine marker knowledge and profiles.

    Parameters
    ----------
    told
        Cell Ontology ids of the types in the marker tables.
    strength
        (type, gene of the vocabulary), signed; None without knowledge.
    """
    current = ontology("CL").current
    told = [current(name) or "" for name in told]
    types = tuple(sorted({*filter(None, told), *profiles.types}))
    place = {name: number for number, name in enumerate(types)}
    knowledge = np.zeros((len(types), profiles.difference.shape[1]), dtype=np.float32)
    if strength is not None:
        dense = strength.toarray()
        for number, name in enumerate(told):
            if name:
                knowledge[place[name]] += dense[number]
    return KnownTypes(types, unit(knowledge), profiles)


def signature_head(
    known: KnownTypes,
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
    knowledge, cells = known.parts()
    texts = [label_texts(name) for name in known.types]
    pooled = pool([text for some in texts for text in some])
    owner = np.repeat(np.arange(len(texts)), [len(some) for some in texts])
    projected = project(pooled)
    mean = torch.zeros(len(texts), projected.shape[1]).index_add_(0, torch.from_numpy(owner), projected)
    of_genes = (known.profiles.level, known.profiles.spread, known.profiles.linear)
    return SignatureHead(
        known.types,
        torch.nn.functional.normalize(pooled, dim=1),
        torch.from_numpy(owner),
        torch.nn.functional.normalize(mean, dim=1),
        sparse.csr_matrix(knowledge),
        sparse.csr_matrix(cells),
        *(torch.from_numpy(values.astype(np.float32)) for values in of_genes),
    )


def unit(rows: Float[np.ndarray, "row gene"]) -> Float[np.ndarray, "row gene"]:
    """Normalize rows to unit length; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1)).astype(np.float32)
