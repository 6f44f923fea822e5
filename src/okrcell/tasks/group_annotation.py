"""Majority vote of the cells of each group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.descriptions.evidence_lookup import (
    EvidenceCache,
    EvidenceIndex,
    RankedMarkers,
    broader_types,
    general_markers,
)
from okrcell.model.embedder import Embedder
from okrcell.ontology.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate
from okrcell.tasks.confidence import predict, probabilities
from okrcell.tasks.rank_genes import MIN_FRACTION, MIN_LOG2_FOLD, GroupGenes
from okrcell.tasks.zero_shot import CELL_CHUNK_SIZE, annotate_by_similarity

COMPETITOR_RATIO = 2.0
"""A cell rejects the candidates if a known type has at least this multiple of the best candidate's similarity (ours)."""


MAX_MARKERS = 10
"""Maximum number of best supported marker genes of a type that are checked."""
MIN_MEASURED = 3
"""Minimum number of measured marker genes for a contradiction."""
MIN_MARKING = 2
"""Minimum number of marker genes that mark the group for a confirmation."""
MAX_TYPES = 5
"""Maximum number of likely types reported per group."""


@dataclass(frozen=True)
class CompetingType:
    """Known type with the highest mean similarity to the cells of a group."""

    name: str
    term_id: str
    similarity: float
    """Mean cosine similarity, in [-1, 1]."""
    fraction_doubted: float
    """Fraction of the group's cells that match some known type twice as well as the best candidate, in [0, 1]."""

    @property
    def dominates(self) -> bool:
        """Whether most cells reject the candidates."""
        return self.fraction_doubted > 0.5


def competing_types(
    cell_vectors: Float[np.ndarray, "cell dim"],
    group: NDArray[np.intp],
    n_groups: int,
    candidates: Sequence[Candidate],
    vectors: Float[np.ndarray, "candidate dim"],
    known_types: Sequence[Candidate],
    known_vectors: Float[np.ndarray, "type dim"],
) -> tuple[CompetingType | None, ...]:
    """Compare each cell's best candidate with the best of all known types; None for a group without expression.

    The nearest candidate may still be wrong (liver types offered for blood); it then has a lower similarity than the best
    known type. Cells whose best candidate is free text without an ontology term never reject the candidates, because
    sentences have a lower similarity to cells than names.

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
    vectors
        Unit vectors of the candidates.
    known_types
        Known types to compare with.
    known_vectors
        Unit vectors of the known types.
    """
    rows = np.flatnonzero((group >= 0) & ~np.isnan(cell_vectors).any(axis=1))
    has_term = np.array([bool(candidate.term_id) for candidate in candidates])
    n_measured = np.bincount(group[rows], minlength=n_groups)
    total = np.zeros((n_groups, len(known_types)))
    n_doubted = np.zeros(n_groups)
    for start in range(0, len(rows), CELL_CHUNK_SIZE):
        chunk = rows[start : start + CELL_CHUNK_SIZE]
        known_scores = cell_vectors[chunk] @ known_vectors.T
        scores = cell_vectors[chunk] @ vectors.T
        np.add.at(total, group[chunk], known_scores)
        best_score = known_scores.max(axis=1)
        is_doubted = (
            (best_score > 0) & (COMPETITOR_RATIO * scores.max(axis=1) < best_score) & has_term[scores.argmax(axis=1)]
        )
        np.add.at(n_doubted, group[chunk], is_doubted)
    competitors: list[CompetingType | None] = []
    for idx, n_cells in enumerate(n_measured.tolist()):
        if not n_cells:
            competitors.append(None)
            continue
        best_idx = int(total[idx].argmax())
        candidate = known_types[best_idx]
        competitors.append(
            CompetingType(
                candidate.name,
                candidate.term_id,
                float(total[idx, best_idx] / n_cells),
                float(n_doubted[idx] / n_cells),
            )
        )
    return tuple(competitors)


@dataclass(frozen=True)
class MarkerSupport:
    """Expression of a type's known marker genes in a group."""

    term_id: str
    markers: RankedMarkers
    """Best supported marker genes of the type, with their records."""
    measured: tuple[str, ...]
    """Marker genes that were measured."""
    group_markers: tuple[str, ...]
    """Marker genes that mark the group."""
    expressed: tuple[str, ...]
    """Marker genes expressed in at least a quarter of the group's cells, and not lower than in other cells."""

    @property
    def contradicts(self) -> bool:
        """Whether enough marker genes were measured and none is expressed."""
        return len(self.measured) >= MIN_MEASURED and not self.expressed and not self.group_markers

    @property
    def confirms(self) -> bool:
        """Whether enough marker genes mark the group."""
        return len(self.group_markers) >= MIN_MARKING


def marker_support(term_id: str, genes: GroupGenes, evidence_cache: EvidenceCache) -> MarkerSupport | None:
    """Check the known marker genes of a cell type in a group; None if no source has any."""
    markers = general_markers(term_id, EvidenceIndex(evidence_cache.evidence_for(term_id)), MAX_MARKERS)
    if not markers.genes:
        return None
    results = [gene for gene in map(genes.get, markers.genes) if gene is not None]
    group_markers = tuple(gene.symbol for gene in results if gene.is_marker)
    expressed = tuple(
        gene.symbol for gene in results if gene.inside >= MIN_FRACTION and gene.log2_fold > -MIN_LOG2_FOLD
    )
    return MarkerSupport(term_id, markers, tuple(gene.symbol for gene in results), group_markers, expressed)


def confirmed_ancestor(term_id: str, genes: GroupGenes, evidence_cache: EvidenceCache) -> MarkerSupport | None:
    """Return the nearest broader type whose marker genes mark the group; None if there is none."""
    supports = (marker_support(ancestor, genes, evidence_cache) for ancestor in broader_types(term_id))
    return next((support for support in supports if support is not None and support.confirms), None)


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
    probability: float = 0.0
    """Mean probability of the type and, for a broader type, its descendants over the group's cells, in [0, 1]; 0 if unknown."""


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
        best_idx = int(prediction.best_idx[0])
        name, term_id = candidates[best_idx].name, candidates[best_idx].term_id
        return GroupVote(
            n_measured, status, name, term_id, float(prediction.confidence[0]), types, float(probability[best_idx])
        )
    if status == "broad":
        term = ontology(CELL_ONTOLOGY).term(str(prediction.broader_id[0]))
        vote_fraction, mean_prob = (
            descendant_fraction(values, candidates, term.id) for values in (fractions, probability)
        )
        return GroupVote(n_measured, status, term.name, term.id, vote_fraction, types, mean_prob)
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
