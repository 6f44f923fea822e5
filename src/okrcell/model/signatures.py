"""Gene signatures of texts, from stored signatures of known cell types."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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

SIGNATURES_FILE = "signatures.safetensors"
N_NEAREST_TEXTS = 8
"""Number of nearest stored texts that a text is interpolated from."""
DISTANCE_POWER = 16.0
"""Interpolation weights are ``distance ** -16``: a text 10 % farther than the nearest has a fifth of its weight."""
PARTS = ("knowledge", "cells")
SOURCES_TENSOR = "knowledge.source"
KNOWLEDGE_WEIGHT, FULL_WEIGHT_GENES = 0.5, 20
"""Weight of the markers of a type with at least 20 of them; the rest is that of cells (`knowledge_weight`)."""
GENE_STATISTICS = ("level", "spread", "linear")
MIN_TEXT_SIMILARITY = 0.45
"""Cosine similarity to the nearest stored text, in the text encoder, below which a text resembles no cell type (ours):
sentences on cells have 0.6 or more, other sentences 0.4 or less."""
MIN_DISTANCE = 1e-3
"""Minimum distance between texts; keeps the weight of a stored text finite."""


@dataclass(frozen=True)
class Signatures:
    """Gene signatures of texts: predicted deviation of each gene from the mean over cells."""

    knowledge: sparse.csr_matrix
    """(text, gene), float32: the part from marker tables."""
    cells: sparse.csr_matrix
    """(text, gene), float32: the part from cells of the corpus."""
    type_weights: Float[np.ndarray, "text type"]
    """Weight of each known type in each text's mixture; rows sum to 1."""

    @property
    def combined(self) -> sparse.csr_matrix:
        """(text, gene): both parts together; positive where the text predicts higher expression."""
        return sparse.csr_matrix(self.knowledge + self.cells)


@dataclass(frozen=True)
class TypeVariation:
    """Main axes of the variation of expression within cell types, which separates no two types."""

    axes: Float[np.ndarray, "gene axis"]
    """Orthonormal columns, in units of the spread of each gene."""
    variances: Float[np.ndarray, " axis"]
    """Variance along each axis, in squared spreads; positive."""


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
    key_type: Int[Tensor, " key"]
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
    knowledge_sources: NDArray[np.int32] | None = field(default=None, kw_only=True)
    """Bit mask of the sources of each stored weight of ``knowledge``, in their order in ``signature_sources`` of the model;
    None in a model without provenance."""
    variation: TypeVariation | None = field(default=None, kw_only=True)
    """Variation within cell types; None in a model without it."""

    @property
    def combined(self) -> sparse.csr_matrix:
        """(type, gene): the signature of each known type, both parts together."""
        return sparse.csr_matrix(self.knowledge + self.cells)

    def nearest_similarity(self, pooled: Float[np.ndarray, "text width"]) -> Float[np.ndarray, " text"]:
        """Cosine similarity of each text to the nearest stored text, in [-1, 1].

        Parameters
        ----------
        pooled
            Pooled output of the text encoder, before the text projector.
        """
        unit = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), MIN_DISTANCE)
        return (unit @ self.key.numpy().T).max(axis=1)

    def match_texts(self, pooled: Float[Tensor, "text width"]) -> Float[np.ndarray, "text type"]:
        """Return the weight of each known type in each text's mixture, by the nearest stored texts; rows sum to 1.

        Parameters
        ----------
        pooled
            Pooled output of the text encoder, before the text projector.
        """
        return self._interpolate(torch.nn.functional.normalize(pooled, dim=1) @ self.key.T, self.key_type)

    def match_vectors(self, vectors: Float[Tensor, "text dim"]) -> Float[np.ndarray, "text type"]:
        """Return the same, by the nearest vectors of known types, for a text projector that was fitted to signatures.

        Parameters
        ----------
        vectors
            Unit vectors of the texts in the shared space.
        """
        return self._interpolate(vectors @ self.vectors.T, torch.arange(len(self.types)))

    def _interpolate(
        self, similarity: Float[Tensor, "text key"], key_type: Int[Tensor, " key"]
    ) -> Float[np.ndarray, "text type"]:
        nearest = similarity.topk(min(N_NEAREST_TEXTS, len(key_type)), dim=1)
        distance = (2 - 2 * nearest.values).clamp_min(0).sqrt().clamp_min(MIN_DISTANCE)
        weight = (distance[:, :1] / distance).pow(DISTANCE_POWER)
        weight = weight / weight.sum(dim=1, keepdim=True)
        type_weights = torch.zeros(len(similarity), len(self.types)).scatter_add_(1, key_type[nearest.indices], weight)
        return type_weights.numpy()

    def signatures(self, type_weights: Float[np.ndarray, "text type"]) -> Signatures:
        """Return the signatures of mixtures of known types."""
        weight = sparse.csr_matrix(np.asarray(type_weights, dtype=np.float32))
        return Signatures(
            sparse.csr_matrix(weight @ self.knowledge), sparse.csr_matrix(weight @ self.cells), weight.toarray()
        )

    def index_of(self, term_ids: Sequence[str]) -> NDArray[np.intp]:
        """Return the index of each Cell Ontology id among the known types; -1 if it is not stored."""
        index = {term: i for i, term in enumerate(self.types)}
        return np.array([index.get(term, -1) for term in term_ids], dtype=np.intp)

    def save(self, folder: Path) -> None:
        """Write ``signatures.safetensors`` with 16-bit floats; the caller stores the type ids."""
        tensors = {
            name: getattr(self, name).to(torch.float16).contiguous() for name in ("key", "vectors", *GENE_STATISTICS)
        }
        tensors["owner"] = self.key_type.to(torch.int32)
        for name in PARTS:
            part: sparse.csr_matrix = getattr(self, name)
            tensors[f"{name}.starts"] = torch.from_numpy(part.indptr.astype(np.int32))
            tensors[f"{name}.gene"] = torch.from_numpy(part.indices.astype(np.int32))
            tensors[f"{name}.weight"] = torch.from_numpy(part.data.astype(np.float16))
        if self.knowledge_sources is not None:
            tensors[SOURCES_TENSOR] = torch.from_numpy(self.knowledge_sources.astype(np.int32))
        if self.variation is not None:
            tensors["axes"] = torch.from_numpy(self.variation.axes).to(torch.float16).contiguous()
            tensors["axis_variances"] = torch.from_numpy(self.variation.variances).to(torch.float32)
        save_file(tensors, folder / SIGNATURES_FILE)

    @classmethod
    def load(cls, folder: Path, types: Sequence[str], n_genes: int) -> Self:
        """Read a file written by `save`.

        Raises
        ------
        CheckpointError
            If the file is missing or damaged, or does not fit the types or genes of the model.
        """
        path = folder / SIGNATURES_FILE
        try:
            tensors = load_file(path)
            key, vectors = (_float_tensor(tensors, name, 2) for name in ("key", "vectors"))
            level, spread, linear = (_float_tensor(tensors, name, 1) for name in GENE_STATISTICS)
            key_type = _index_tensor(tensors, "owner")
            knowledge, cells = (_sparse_part(tensors, name, (len(types), n_genes)) for name in PARTS)
            sources = _source_masks(tensors, len(knowledge.data))
            variation = _type_variation(tensors, n_genes)
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path} is missing or damaged ({reason}). Fetch the model again.") from None
        fits = (
            len(key_type) == len(key) > 0
            and len(vectors) == len(types)
            and all(len(statistic) == n_genes for statistic in (level, spread, linear))
            and bool(((key_type >= 0) & (key_type < len(types))).all())
        )
        if not fits:
            raise CheckpointError(
                f"{path} does not fit the model's genes or types. The folder is mixed; fetch it again."
            )
        return cls(
            tuple(types),
            key,
            key_type,
            vectors,
            knowledge,
            cells,
            level,
            spread,
            linear,
            knowledge_sources=sources,
            variation=variation,
        )


def knowledge_weight(n_markers: NDArray[np.integer]) -> Float[np.ndarray, " type"]:
    """Weight of the markers of each type that has cells too; a type with a single part gives it weight 1 (ours).

    ``KNOWLEDGE_WEIGHT sqrt(n / FULL_WEIGHT_GENES)`` for n markers, at most `KNOWLEDGE_WEIGHT`: two genes that a definition
    names would otherwise outweigh the profile of thousands of cells.
    """
    return KNOWLEDGE_WEIGHT * np.sqrt(np.minimum(n_markers / FULL_WEIGHT_GENES, 1.0))


def embed_types(
    texts: Sequence[Sequence[str]],
    pool: Callable[[Sequence[str]], Float[Tensor, "text width"]],
    project: Callable[[Float[Tensor, "text width"]], Float[Tensor, "text dim"]],
) -> tuple[Float[Tensor, "key width"], Int[Tensor, " key"], Float[Tensor, "type dim"]]:
    """Embed the texts of types: unit vectors of the texts, the type of each, and the unit mean vector of each type.

    Parameters
    ----------
    texts
        Texts of each type, at least one.
    pool
        Embeds texts with the text encoder, before the projector.
    project
        Projects these vectors into the shared space.
    """
    pooled = pool([text for type_texts in texts for text in type_texts])
    key_type = torch.arange(len(texts)).repeat_interleave(torch.tensor([len(type_texts) for type_texts in texts]))
    projected = project(pooled)
    mean = torch.zeros(len(texts), projected.shape[1]).index_add_(0, key_type, projected)
    return torch.nn.functional.normalize(pooled, dim=1), key_type, torch.nn.functional.normalize(mean, dim=1)


def _float_tensor(tensors: dict[str, Tensor], name: str, n_axes: int) -> Tensor:
    if not tensors[name].is_floating_point() or tensors[name].ndim != n_axes:
        raise ValueError(f"{name} has the wrong type or shape")
    values = tensors[name].float()
    if not bool(values.isfinite().all()) or (name in GENE_STATISTICS and bool((values < 0).any())):
        raise ValueError(f"{name} has values that are not finite, or negative")
    return values


def _index_tensor(tensors: dict[str, Tensor], name: str) -> Tensor:
    if tensors[name].dtype != torch.int32 or tensors[name].ndim != 1:
        raise ValueError(f"{name} is not a list of indices")
    return tensors[name].long()


def _type_variation(tensors: dict[str, Tensor], n_genes: int) -> TypeVariation | None:
    if "axes" not in tensors:
        return None
    axes, variances = _float_tensor(tensors, "axes", 2), _float_tensor(tensors, "axis_variances", 1)
    if axes.shape != (n_genes, len(variances)) or bool((variances <= 0).any()):
        raise ValueError("axes do not fit the genes, or a variance is not positive")
    return TypeVariation(axes.numpy(), variances.numpy())


def _source_masks(tensors: dict[str, Tensor], n_weights: int) -> NDArray[np.int32] | None:
    if SOURCES_TENSOR not in tensors:
        return None
    masks = _index_tensor(tensors, SOURCES_TENSOR).numpy().astype(np.int32)
    if len(masks) != n_weights or bool((masks <= 0).any()):
        raise ValueError(f"{SOURCES_TENSOR} does not give every weight a source")
    return masks


def _sparse_part(tensors: dict[str, Tensor], name: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    indptr, gene = (_index_tensor(tensors, f"{name}.{suffix}").numpy() for suffix in ("starts", "gene"))
    part = sparse.csr_matrix((_float_tensor(tensors, f"{name}.weight", 1).numpy(), gene, indptr), shape=shape)
    part.check_format(full_check=True)
    return part
