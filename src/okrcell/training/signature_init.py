"""Start of the linear cell encoder and its text projector from gene signatures of cell types (ours)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from okrcell.descriptions.type_wordings import type_wordings
from okrcell.model.cell_encoder import LinearEncoder
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.embedder import Embedder
from okrcell.model.gene_init import cached_embed
from okrcell.model.signatures import FULL_WEIGHT_GENES
from okrcell.ontology.ontology import ontology
from okrcell.training.cell_type_profiles import KnownTypes, unit_rows

CELL_ONTOLOGY = "CL"
N_STEPS = 2500
"""Steps in which the text projector is fitted to the vectors of types."""
BATCH_SIZE = 512
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
WARMUP = 0.1
"""Fraction of the steps over which the learning rate rises."""
NOISE = 0.02
"""Standard deviation of the noise on unit text vectors, so that similar wordings get similar vectors."""
CLASS_WEIGHT, CLASS_TEMPERATURE = 0.5, 0.07
"""Weight and temperature of the cross-entropy over the known types, beside the cosine distance to the vector of the type."""
MARKER_RELIABILITY = 0.7
"""Weight of a type with markers alone, at least `FULL_WEIGHT_GENES` of them, in the choice of directions; a type with cells
has 1."""
PROSE_WORDS, PROSE_WEIGHT = 7, 3.0
"""A text of at least 7 words is sampled three times as often as a name: what a cell does is said in few of a type's texts."""
UNKNOWN_WEIGHT = 1 / 3
"""How often the texts of a type without signature are sampled, relative to those of a known type."""


@dataclass(frozen=True)
class SignatureSpace:
    """Directions of gene space and vectors of the known types on them."""

    directions: Float[np.ndarray, "gene dim"]
    """Orthonormal columns: right singular vectors of the signatures, strongest first; zero beyond the number of types."""
    types: tuple[str, ...]
    """Cell Ontology ids."""
    vectors: Float[np.ndarray, "type dim"]
    """Unit rows: the signatures on these directions."""

    @classmethod
    def from_signatures(
        cls,
        types: Sequence[str],
        signatures: Float[np.ndarray, "type gene"],
        dim: int,
        weights: Float[np.ndarray, " type"] | None = None,
    ) -> "SignatureSpace":
        """Decompose signatures, each centred on its mean over genes and scaled to unit length.

        The Gram matrix of some hundred types is decomposed, not the matrix with all genes.

        Parameters
        ----------
        weights
            Weight of each type in the choice of directions; equal by default.
        """
        centred = unit_rows(signatures - signatures.mean(axis=1, keepdims=True)).astype(np.float64)
        weighted = centred if weights is None else centred * weights[:, None]
        variances, left = np.linalg.eigh(weighted @ weighted.T)
        strongest = [i for i in range(len(variances) - 1, -1, -1) if variances[i] > 1e-9 * variances[-1]][:dim]
        left, scale = left[:, strongest], np.sqrt(variances[strongest])
        # The sign of a direction is arbitrary: the type with the largest magnitude gets a positive value.
        left = left * np.sign(left[np.abs(left).argmax(axis=0), np.arange(len(strongest))])
        directions = np.zeros((signatures.shape[1], dim), dtype=np.float32)
        directions[:, : len(strongest)] = weighted.T @ left / scale
        return cls(directions, tuple(types), unit_rows((centred @ directions).astype(np.float32)))

    def targets(self, term_ids: Sequence[str]) -> tuple[Float[np.ndarray, "term dim"], NDArray[np.intp]]:
        """Return a vector for each Cell Ontology term, and its index among the known types.

        A term without signature has the mean of its nearest known ancestors, else descendants, or 0; its index is -1.
        """
        index = {name: i for i, name in enumerate(self.types)}
        vectors = np.zeros((len(term_ids), self.vectors.shape[1]), dtype=np.float32)
        for row, term_id in enumerate(term_ids):
            nearest = [index[term_id]] if term_id in index else _nearest_known(term_id, index)
            if nearest:
                vectors[row] = self.vectors[nearest].mean(axis=0)
        return unit_rows(vectors), np.array([index.get(term_id, -1) for term_id in term_ids], dtype=np.intp)


def init_from_signatures(
    model: CellTextModel, known_types: KnownTypes, checkpoint: Checkpoint, seed: int
) -> SignatureSpace:
    """Set gene vectors and statistics of a linear encoder, and fit the text projector to the vectors of the types.

    Parameters
    ----------
    model
        Untrained model with a linear cell encoder.
    known_types
        Signatures from marker tables and from the training cells.
    checkpoint
        The same model with its vocabulary, to embed texts.
    seed
        Seed of the sampling of texts.
    """
    encoder, profiles = cast(LinearEncoder, model.cell_encoder), known_types.profiles
    space = SignatureSpace.from_signatures(
        known_types.types, known_types.signatures().toarray(), model.dim, _reliability(known_types)
    )
    encoder.set_statistics(
        *(torch.from_numpy(values.astype(np.float32)) for values in (profiles.level, profiles.spread, profiles.linear))
    )
    with torch.no_grad():
        encoder.tokens.gene.weight[1:] = torch.from_numpy(space.directions)
    if list(model.text_projector.parameters()):
        term_ids, texts = all_wordings(space.types)
        embedder = Embedder(checkpoint)
        pooled = cached_embed(f"{model.settings.text_encoder.model_dump_json()} pooled", embedder.pool_texts)(texts)
        is_prose = np.array([len(text.split()) >= PROSE_WORDS for text in texts])
        fit_text_projector(model.text_projector, torch.from_numpy(pooled), term_ids, space, seed, is_prose)
    return space


def _reliability(known_types: KnownTypes) -> Float[np.ndarray, " type"]:
    """Weight of a type in the choice of directions: 1 with cells, less with markers alone, and few of them."""
    n_markers = np.count_nonzero(known_types.knowledge, axis=1)
    of_markers = MARKER_RELIABILITY * np.minimum(n_markers / FULL_WEIGHT_GENES, 1)
    return np.where(np.isin(known_types.types, known_types.profiles.types), 1.0, of_markers)


def all_wordings(known_types: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a Cell Ontology id and a text for each wording of each current term; sentences of known types only."""
    known = set(known_types)
    pairs = [
        (term_id, text)
        for term_id in ontology(CELL_ONTOLOGY).term_ids()
        for text in type_wordings(term_id, sentences=term_id in known)
    ]
    return [term_id for term_id, _ in pairs], [text for _, text in pairs]


def fit_text_projector(
    projector: nn.Module,
    pooled: Float[torch.Tensor, "text width"],
    term_ids: Sequence[str],
    space: SignatureSpace,
    seed: int,
    is_prose: NDArray[np.bool_],
) -> None:
    """Fit a projector so that every wording of a type has the vector of the type.

    The loss is the cosine distance to the type's vector and, for known types, the cross-entropy over all known types.

    Parameters
    ----------
    pooled
        Texts, as the text encoder pools them.
    term_ids
        Cell Ontology id of each text.
    is_prose
        Texts that are sampled more often (`PROSE_WEIGHT`).
    """
    vectors, type_idx = space.targets(term_ids)
    usable = np.flatnonzero(vectors.any(axis=1))
    probability = _sampling_probability(np.asarray(term_ids)[usable], type_idx[usable], is_prose[usable])
    targets, labels, types = torch.from_numpy(vectors), torch.from_numpy(type_idx), torch.from_numpy(space.vectors)
    rng, noise_generator = np.random.default_rng([seed, 11]), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(projector.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=N_STEPS, pct_start=WARMUP)
    length = pooled.norm(dim=1, keepdim=True)
    for _ in range(N_STEPS):
        batch = torch.from_numpy(rng.choice(usable, BATCH_SIZE, p=probability))
        noise = NOISE * length[batch] * torch.randn(len(batch), pooled.shape[1], generator=noise_generator)
        projected = functional.normalize(projector(pooled[batch] + noise), dim=1)
        is_known = labels[batch] >= 0
        logits = projected[is_known] @ types.T / CLASS_TEMPERATURE
        loss = (1 - (projected * targets[batch]).sum(dim=1)).mean() + CLASS_WEIGHT * functional.cross_entropy(
            logits, labels[batch][is_known]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _nearest_known(term_id: str, index: dict[str, int]) -> list[int]:
    """Indices of the nearest known ancestors of a term; without any, of the nearest known descendants."""
    cell_ontology = ontology(CELL_ONTOLOGY)
    for relatives in (cell_ontology.ancestors(term_id), cell_ontology.descendants(term_id)):
        distance = {other: cell_ontology.distance(term_id, other) for other in relatives if other in index}
        steps = [value for value in distance.values() if value is not None]
        if steps:
            return sorted(index[other] for other, value in distance.items() if value == min(steps))
    return []


def _sampling_probability(
    term_ids: NDArray[np.str_], type_idx: NDArray[np.intp], is_prose: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Probability of each text: known types and prose more often; types with many texts not in proportion to their number."""
    _, code, n_texts = np.unique(term_ids, return_inverse=True, return_counts=True)
    weight = (
        np.where(type_idx >= 0, 1.0, UNKNOWN_WEIGHT) * np.where(is_prose, PROSE_WEIGHT, 1.0) / np.sqrt(n_texts[code])
    )
    return weight / weight.sum()
