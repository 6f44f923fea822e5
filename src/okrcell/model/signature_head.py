"""From a text to the genes that it predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy import sparse
from torch import Tensor

from okrcell.errors import CheckpointError

SIGNATURES = "signatures.safetensors"
NEAREST_NAMES = 8
"""A text is read by so many known texts that are nearest to it."""
SHARPNESS = 16.0
"""A known text weighs ``distance ** -16``: one that is a tenth farther than the nearest weighs a fifth of it."""
PARTS = ("knowledge", "cells")
OF_GENES = ("level", "spread", "linear")
SAME = 1e-3
"""Texts nearer to each other than this are one text; keeps the weight of a known text finite."""


@dataclass(frozen=True)
class Signatures:
    """What some texts predict: how much more, or less, of each gene than cells have on average."""

    knowledge: sparse.csr_matrix
    """(text, gene), float32: the part that marker tables told."""
    cells: sparse.csr_matrix
    """(text, gene), float32: the part that cells of the corpus showed."""
    known_types: Float[np.ndarray, "text type"]
    """How much of each was read from which known type; rows sum to 1."""

    @property
    def genes(self) -> sparse.csr_matrix:
        """(text, gene): both parts together; positive where the text predicts more of a gene."""
        return sparse.csr_matrix(self.knowledge + self.cells)


@dataclass(frozen=True)
class SignatureHead:
    """Text to expression (method 11.3), in a form that is ours: a memory of known cell types, read by their texts.

    Each known type has sparse weights of what marker tables say of it, and of how its cells differed from the others of
    their studies. A text of a known type is found by heart. Any other is read as a mixture of the known texts that are
    nearest to it (Shepard's interpolation in the space of the text encoder), so that a sentence predicts genes as well.
    """

    types: tuple[str, ...]
    """Cell Ontology ids of the known types."""
    key: Float[Tensor, "key width"]
    """Unit vectors of the known types' texts, before the text projector."""
    owner: Int[Tensor, " key"]
    """For each key, the place of its type."""
    vectors: Float[Tensor, "type dim"]
    """Unit vectors of the known types in the common space: each the direction of the mean of its texts' vectors."""
    knowledge: sparse.csr_matrix
    """(type, gene), float32: what marker tables add to a signature."""
    cells: sparse.csr_matrix
    """(type, gene), float32: what cells of the corpus add."""
    level: Float[Tensor, " gene"]
    """Mean of log expression over the cell types of the corpus' studies, all types and studies alike."""
    spread: Float[Tensor, " gene"]
    """Standard deviation of the same within cell types."""
    linear: Float[Tensor, " gene"]
    """Mean of linear expression, likewise; what a panel of genes is scaled to in total."""

    @property
    def genes(self) -> sparse.csr_matrix:
        """(type, gene): the signature of each known type, both parts together."""
        return sparse.csr_matrix(self.knowledge + self.cells)

    def read(self, pooled: Float[Tensor, "text width"]) -> Float[np.ndarray, "text type"]:
        """Tell how much each text is of each known type; rows sum to 1.

        Parameters
        ----------
        pooled
            Texts as the text encoder pools them, before the text projector.
        """
        likeness = torch.nn.functional.normalize(pooled, dim=1) @ self.key.T
        near = likeness.topk(min(NEAREST_NAMES, len(self.key)), dim=1)
        distance = (2 - 2 * near.values).clamp_min(0).sqrt().clamp_min(SAME)
        weight = (distance[:, :1] / distance).pow(SHARPNESS)
        weight = weight / weight.sum(dim=1, keepdim=True)
        shares = torch.zeros(len(pooled), len(self.types)).scatter_add_(1, self.owner[near.indices], weight)
        return shares.numpy()

    def signatures(self, shares: Float[np.ndarray, "text type"]) -> Signatures:
        """Return what mixtures of known types predict."""
        weight = sparse.csr_matrix(np.asarray(shares, dtype=np.float32))
        return Signatures(
            sparse.csr_matrix(weight @ self.knowledge), sparse.csr_matrix(weight @ self.cells), weight.toarray()
        )

    def known(self, term_ids: Sequence[str]) -> NDArray[np.intp]:
        """Return the place of each Cell Ontology id among the known types, -1 where it is not known."""
        place = {term: number for number, term in enumerate(self.types)}
        return np.array([place.get(term, -1) for term in term_ids], dtype=np.intp)

    def save(self, folder: Path) -> None:
        """Write ``signatures.safetensors``, 16-bit floats; the ids of the types are the caller's to keep."""
        held = {name: getattr(self, name).to(torch.float16).contiguous() for name in ("key", "vectors", *OF_GENES)}
        held["owner"] = self.owner.to(torch.int32)
        for name in PARTS:
            part: sparse.csr_matrix = getattr(self, name)
            held[f"{name}.starts"] = torch.from_numpy(part.indptr.astype(np.int32))
            held[f"{name}.gene"] = torch.from_numpy(part.indices.astype(np.int32))
            held[f"{name}.weight"] = torch.from_numpy(part.data.astype(np.float16))
        save_file(held, folder / SIGNATURES)

    @classmethod
    def load(cls, folder: Path, types: Sequence[str], genes: int) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        CheckpointError
            If the file is missing or damaged, or does not fit the types or genes of the model.
        """
        path = folder / SIGNATURES
        try:
            held = load_file(path)
            key, vectors = (_numbers(held, name, 2) for name in ("key", "vectors"))
            level, spread, linear = (_numbers(held, name, 1) for name in OF_GENES)
            owner = _places(held, "owner")
            knowledge, cells = (_part(held, name, (len(types), genes)) for name in PARTS)
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path} is missing or damaged ({reason}). Fetch the model again.") from None
        fits = (
            len(owner) == len(key) > 0
            and len(vectors) == len(types)
            and all(len(of_gene) == genes for of_gene in (level, spread, linear))
            and bool(((owner >= 0) & (owner < len(types))).all())
        )
        if not fits:
            raise CheckpointError(
                f"{path} does not fit the model's genes or types. The folder is mixed; fetch it again."
            )
        return cls(tuple(types), key, owner, vectors, knowledge, cells, level, spread, linear)


def _numbers(held: dict[str, Tensor], name: str, axes: int) -> Tensor:
    if not held[name].is_floating_point() or held[name].ndim != axes:
        raise ValueError(f"{name} is of another kind or shape")
    found = held[name].float()
    if not bool(found.isfinite().all()) or (name in OF_GENES and bool((found < 0).any())):
        raise ValueError(f"{name} holds numbers that cannot be")
    return found


def _places(held: dict[str, Tensor], name: str) -> Tensor:
    if held[name].dtype != torch.int32 or held[name].ndim != 1:
        raise ValueError(f"{name} is no list of places")
    return held[name].long()


def _part(held: dict[str, Tensor], name: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    starts, gene = (_places(held, f"{name}.{what}").numpy() for what in ("starts", "gene"))
    part = sparse.csr_matrix((_numbers(held, f"{name}.weight", 1).numpy(), gene, starts), shape=shape)
    part.check_format(full_check=True)
    return part
