"""Majority vote of the cells of each group."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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
from okrcell.ontology.ontology import ontology
from okrcell.ontology.relations import ancestors_or_self
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate
from okrcell.tasks.confidence import CONFIDENCE_THRESHOLD, Prediction, common_ancestors, descendant_matrix
from okrcell.tasks.rank_genes import MIN_FRACTION, MIN_LOG2_FOLD, GroupGenes

MAX_MARKERS = 10
"""Maximum number of best supported marker genes of a type that are checked."""
MIN_MEASURED = 3
"""Minimum number of measured marker genes for a contradiction."""
MIN_MARKING = 2
"""Minimum number of marker genes that mark the group for a confirmation."""
MAX_TYPES = 5
"""Maximum number of likely types reported per group."""


class CellPredictions(Protocol):
    """Predictions of cells, zero-shot or without candidates."""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Candidate cell types."""
        ...

    @property
    def probability(self) -> Float[np.ndarray, "cell candidate"]:
        """Rows sum to 1, or are NaN for a cell without expression."""
        ...

    @property
    def prediction(self) -> Prediction:
        """Candidate, confidence and status of each cell."""
        ...

    @property
    def competitor(self) -> NDArray[np.int32] | None:
        """Index of the best known type outside the candidates, -1 for none; None if it was not computed."""
        ...


@dataclass(frozen=True)
class CompetingType:
    """Known type outside the candidates that most unknown cells of a group resemble."""

    name: str
    term_id: str
    fraction_unknown: float
    """Fraction of the group's cells with expression that have the status "unknown", in [0, 1]."""

    @property
    def dominates(self) -> bool:
        """Whether the candidates fit less than half of the cells."""
        return self.fraction_unknown > CONFIDENCE_THRESHOLD


def competing_types(
    predicted: CellPredictions, group: NDArray[np.intp], n_groups: int, known_types: Sequence[str]
) -> tuple[CompetingType | None, ...]:
    """Name the type outside the candidates that the unknown cells of each group resemble; None if there is none.

    Parameters
    ----------
    predicted
        Predictions of the cells.
    group
        Group index of each cell, -1 for none.
    n_groups
        Number of groups.
    known_types
        Cell Ontology ids of the types that ``predicted.competitor`` refers to.
    """
    if predicted.competitor is None:
        return (None,) * n_groups
    competitors: list[CompetingType | None] = []
    for idx in range(n_groups):
        in_group = (group == idx) & ~np.isnan(predicted.probability[:, 0])
        is_unknown = in_group & (predicted.prediction.status == "unknown")
        counts = Counter(predicted.competitor[is_unknown & (predicted.competitor >= 0)].tolist())
        if not counts:
            competitors.append(None)
            continue
        term = ontology(CELL_ONTOLOGY).term(known_types[int(counts.most_common(1)[0][0])])
        competitors.append(CompetingType(term.name, term.id, float(is_unknown.sum() / in_group.sum())))
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
    """confident: most cells are confident of one candidate or of its descendants among the candidates. broad: most cells have a
    label below one broader type. unknown: neither."""
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
    predicted: CellPredictions,
    similarity: Float[np.ndarray, "cell candidate"],
    group: NDArray[np.intp],
    n_groups: int,
) -> tuple[GroupVote, ...]:
    """Choose the type that most cells of each group support, labelled as by `okrcell.tl.annotate`.

    A cell supports its candidate if it is confident of it, else its broader type if it has one, and their ancestors.

    Parameters
    ----------
    predicted
        Predictions of the cells.
    similarity
        Cosine similarity of cells and candidates.
    group
        Group index of each cell, -1 for none.
    n_groups
        Number of groups.
    """
    is_measured = ~np.isnan(predicted.probability[:, 0])
    return tuple(
        _vote(predicted, similarity, np.flatnonzero((group == idx) & is_measured)) for idx in range(n_groups)
    )  # fmt: skip


def _vote(
    predicted: CellPredictions, similarity: Float[np.ndarray, "cell candidate"], rows: NDArray[np.intp]
) -> GroupVote:
    if not len(rows):
        return GroupVote(0, "unknown", "unknown", "", 0.0, ())
    candidates, prediction = predicted.candidates, predicted.prediction
    fractions = np.bincount(prediction.best_idx[rows], minlength=len(candidates)) / len(rows)
    probability, mean_similarity = predicted.probability[rows].mean(axis=0), similarity[rows].mean(axis=0)
    # Ties are broken by the mean probability.
    order = [int(idx) for idx in np.lexsort((-probability, -fractions))[:MAX_TYPES] if fractions[idx] > 0]
    types = tuple(
        LikelyType(
            candidates[idx].name,
            candidates[idx].term_id,
            float(fractions[idx]),
            float(probability[idx]),
            float(mean_similarity[idx]),
        )
        for idx in order
    )
    is_confident = prediction.status[rows] == "confident"
    confident = np.bincount(prediction.best_idx[rows][is_confident], minlength=len(candidates)) / len(rows)
    support = descendant_matrix(candidates) @ confident
    supported = np.flatnonzero(support > CONFIDENCE_THRESHOLD)
    if len(supported):
        best_idx = int(supported[support[supported].argmin()])
        family = descendant_matrix(candidates)[best_idx]
        return GroupVote(
            len(rows),
            "confident",
            candidates[best_idx].name,
            candidates[best_idx].term_id,
            float(fractions[family].sum()),
            types,
            float(probability[family].sum()),
        )
    term_id = _supported_ancestor(candidates, confident, Counter(prediction.broader_id[rows].tolist()), len(rows))
    if term_id:
        vote_fraction, mean_prob = (
            descendant_fraction(values, candidates, term_id) for values in (fractions, probability)
        )
        name = ontology(CELL_ONTOLOGY).term(term_id).name
        return GroupVote(len(rows), "broad", name, term_id, vote_fraction, types, mean_prob)
    return GroupVote(len(rows), "unknown", "unknown", "", types[0].fraction, types)


def _supported_ancestor(
    candidates: Sequence[Candidate], confident: NDArray[np.float64], n_broader: Mapping[str, int], n_cells: int
) -> str:
    """Return the deepest term above candidates that at least half of the cells support, "" if there is none."""
    support: Counter[str] = Counter()
    for candidate, fraction in zip(candidates, confident.tolist(), strict=True):
        support.update(dict.fromkeys(ancestors_or_self(candidate.term_id), fraction))
    for term_id, count in n_broader.items():
        support.update(dict.fromkeys(ancestors_or_self(term_id), count / n_cells))
    terms = [term_id for term_id in common_ancestors(candidates)[0] if support[term_id] >= CONFIDENCE_THRESHOLD]
    return terms[-1] if terms else ""


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
