"""Majority vote of the cells of each group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.ontology.ontology import ontology
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate
from okrcell.tasks.confidence import predict, probabilities
from okrcell.tasks.zero_shot import CELL_CHUNK_SIZE, annotate_by_similarity

MAX_TYPES = 5
"""Maximum number of likely types reported per group."""


@dataclass(frozen=True)
class LikelyType:
    """Candidate type with its vote, probability and similarity in a group."""

    name: str
    term_id: str
    """Cell Ontology id, "" if the name is not a term of the ontology."""
    fraction: float
    """Fraction of the group's cells with this type as nearest candidate, in [0, 1]."""
    probability: float
    """Mean probability of this type over the group's cells, in [0, 1]."""
    similarity: float
    """Mean cosine similarity, in [-1, 1]."""


@dataclass(frozen=True)
class GroupVote:
    """Majority vote of the cells of one group."""

    n_measured: int
    """Number of cells with expression, which vote."""
    status: str
    """confident: most cells are nearest to one candidate. broad: most cells are nearest to descendants of one broader type.
    unknown: neither."""
    name: str
    """The candidate or the broader type; "unknown" if there is none."""
    term_id: str
    fraction: float
    """Fraction of cells nearest to the type or its descendants, in [0, 1]; that of the most frequent candidate if unknown."""
    types: tuple[LikelyType, ...]
    """Candidates with most votes, most frequent first."""


def group_votes(
    cell_vectors: Float[np.ndarray, "cell dim"],
    group: NDArray[np.intp],
    n_groups: int,
    candidates: Sequence[Candidate],
    embedder: Embedder,
    n_genes: int,
) -> tuple[GroupVote, ...]:
    """Count the nearest candidates of each group's cells, and choose a type by `okrcell.tasks.confidence.predict`.

    A fraction of votes is not a probability: all cells of a group may be wrong in the same way. `LikelyType.probability` is
    the mean of the cells' own probabilities.

    Parameters
    ----------
    cell_vectors
        Unit vectors of the cells, NaN for a cell without expression.
    group
        Group index of each cell, -1 for none.
    n_groups
        Number of groups.
    candidates
        Candidate cell types.
    embedder
        Model that embeds the texts.
    n_genes
        Number of the model's genes that were measured.
    """
    predicted = annotate_by_similarity(cell_vectors, candidates, embedder, n_genes)
    rows = np.flatnonzero((group >= 0) & ~np.isnan(cell_vectors).any(axis=1))
    n_measured = np.bincount(group[rows], minlength=n_groups)
    fractions, probability, similarity = (np.zeros((n_groups, len(candidates))) for _ in range(3))
    for start in range(0, len(rows), CELL_CHUNK_SIZE):
        chunk = rows[start : start + CELL_CHUNK_SIZE]
        np.add.at(fractions, (group[chunk], predicted.prediction.best_idx[chunk]), 1)
        np.add.at(probability, group[chunk], probabilities(predicted.scores[chunk], predicted.temperature))
        np.add.at(similarity, group[chunk], predicted.scores[chunk])
    tables = [table / np.maximum(n_measured, 1)[:, None] for table in (fractions, probability, similarity)]
    return tuple(
        _vote(int(n_measured[idx]), candidates, *(table[idx] for table in tables)) for idx in range(n_groups)
    )  # fmt: skip


def _vote(
    n_measured: int,
    candidates: Sequence[Candidate],
    fractions: Float[np.ndarray, "candidate"],
    probability: Float[np.ndarray, "candidate"],
    similarity: Float[np.ndarray, "candidate"],
) -> GroupVote:
    if not n_measured:
        return GroupVote(0, "unknown", "unknown", "", 0.0, ())
    # Ties are broken by the mean probability.
    order = [int(idx) for idx in np.lexsort((-probability, -fractions))[:MAX_TYPES] if fractions[idx] > 0]
    types = tuple(
        LikelyType(
            candidates[idx].name,
            candidates[idx].term_id,
            float(fractions[idx]),
            float(probability[idx]),
            float(similarity[idx]),
        )
        for idx in order
    )
    prediction = predict(fractions[None], candidates)
    status = str(prediction.status[0])
    if status == "confident":
        best_candidate = candidates[int(prediction.best_idx[0])]
        return GroupVote(
            n_measured, status, best_candidate.name, best_candidate.term_id, float(prediction.confidence[0]), types
        )
    if status == "broad":
        term = ontology(CELL_ONTOLOGY).term(str(prediction.broader_id[0]))
        return GroupVote(
            n_measured, status, term.name, term.id, descendant_fraction(fractions, candidates, term.id), types
        )
    return GroupVote(n_measured, status, "unknown", "", types[0].fraction, types)


def descendant_fraction(
    fractions: Float[np.ndarray, "candidate"], candidates: Sequence[Candidate], term_id: str
) -> float:
    """Return the fraction of votes for a term and its descendants."""
    ancestors = ontology(CELL_ONTOLOGY).ancestors
    is_descendant = [
        bool(candidate.term_id) and term_id in ancestors(candidate.term_id) | {candidate.term_id}
        for candidate in candidates
    ]
    return float(fractions[np.array(is_descendant)].sum())
