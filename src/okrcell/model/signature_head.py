"""Gene signatures of texts, from stored signatures of known cell types."""

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
"""Number of nearest stored texts that a text is interpolated from."""
SHARPNESS = 16.0
"""Interpolation weights are ``distance ** -16``: a text 10 % farther than the nearest has a fifth of its weight."""
PARTS = ("knowledge", "cells")
OF_GENES = ("level", "spread", "linear")
SAME = 1e-3
"""Minimum distance between texts; keeps the weight of a stored text finite."""


@dataclass(frozen=True)
class Signatures:
    """Gene signatures of texts: predicted deviation of each gene from the mean over cells."""

    knowledge: sparse.csr_matrix
    """(text, gene), float32: the part from marker tables."""
    cells: sparse.csr_matrix
    """(text, gene), float32: the part from cells of the corpus."""
    known_types: Float[np.ndarray, "text type"]
    """Weight of each known type in each text's mixture; rows sum to 1."""

    @property
    def genes(self) -> sparse.csr_matrix:
        """(text, gene): both parts together; positive where the text predicts higher expression."""
        return sparse.csr_matrix(self.knowledge + self.cells)


@dataclass(frozen=True)
class SignatureHead:
    """Text to expression (method 11.3), in our form: stored signatures of known cell types, looked up by their texts.

    Each known type has a sparse signature from marker tables, and one from how its cells differ from the other types of
    their studies. A text of a known type gets its stored signature. Any other text is mapped to a mixture of the nearest
    stored texts (Shepard's interpolation in the space of the text encoder), so that any sentence has a signature.
    """

    types: tuple[str, ...]
    """Cell Ontology ids of the known types."""
    key: Float[Tensor, "key width"]
    """Unit vectors of the known types' texts, before the text projector."""
    owner: Int[Tensor, " key"]
    """Index of the type of each key."""
    vectors: Float[Tensor, "type dim"]
    """Unit vectors of the known types in the shared space: the normalized mean of the vectors of a type's texts."""
    knowledge: sparse.csr_matrix
    """(type, gene), float32: the part of a signature from marker tables."""
    cells: sparse.csr_matrix
    """(type, gene), float32: the part from cells of the corpus."""
    level: Float[Tensor, " gene"]
    """Mean log expression over the cell types of the corpus' studies, all types and studies with equal weight."""
    spread: Float[Tensor, " gene"]
    """Standard deviation of log expression within cell types."""
    linear: Float[Tensor, " gene"]
    """Mean linear expression, likewise; its sum over a gene panel is the total that cells are scaled to."""

    @property
    def genes(self) -> sparse.csr_matrix:
        """(type, gene): the signature of each known type, both parts together."""
        return sparse.csr_matrix(self.knowledge + self.cells)

    def read(self, pooled: Float[Tensor, "text width"]) -> Float[np.ndarray, "text type"]:
        """Return the weight of each known type in each text's mixture; rows sum to 1.

        Parameters
        ----------
        pooled
            Pooled output of the text encoder, before the text projector.
        """
        likeness = torch.nn.functional.normalize(pooled, dim=1) @ self.key.T
        near = likeness.topk(min(NEAREST_NAMES, len(self.key)), dim=1)
        distance = (2 - 2 * near.values).clamp_min(0).sqrt().clamp_min(SAME)
        weight = (distance[:, :1] / distance).pow(SHARPNESS)
        weight = weight / weight.sum(dim=1, keepdim=True)
        shares = torch.zeros(len(pooled), len(self.types)).scatter_add_(1, self.owner[near.indices], weight)
        return shares.numpy()

    def signatures(self, shares: Float[np.ndarray, "text type"]) -> Signatures:
        """Return the signatures of mixtures of known types."""
        weight = sparse.csr_matrix(np.asarray(shares, dtype=np.float32))
        return Signatures(
            sparse.csr_matrix(weight @ self.knowledge), sparse.csr_matrix(weight @ self.cells), weight.toarray()
        )

    def known(self, term_ids: Sequence[str]) -> NDArray[np.intp]:
        """Return the index of each Cell Ontology id among the known types; -1 if it is not stored."""
        place = {term: number for number, term in enumerate(self.types)}
        return np.array([place.get(term, -1) for term in term_ids], dtype=np.intp)

    def save(self, folder: Path) -> None:
        """Write ``signatures.safetensors`` with 16-bit floats; the caller stores the type ids."""
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
        """Read a file written by `save`.

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
        raise ValueError(f"{name} has the wrong type or shape")
    found = held[name].float()
    if not bool(found.isfinite().all()) or (name in OF_GENES and bool((found < 0).any())):
        raise ValueError(f"{name} has values that are not finite, or negative")
    return found


def _places(held: dict[str, Tensor], name: str) -> Tensor:
    if held[name].dtype != torch.int32 or held[name].ndim != 1:
        raise ValueError(f"{name} is not a list of indices")
    return held[name].long()


def _part(held: dict[str, Tensor], name: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    starts, gene = (_places(held, f"{name}.{what}").numpy() for what in ("starts", "gene"))
    part = sparse.csr_matrix((_numbers(held, f"{name}.weight", 1).numpy(), gene, starts), shape=shape)
    part.check_format(full_check=True)
    return part
