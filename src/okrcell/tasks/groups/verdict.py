"""Type of a group: majority vote, checked against competing types and known marker genes."""

from dataclasses import dataclass

from okrcell.ontology.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY
from okrcell.tasks.rank_genes import GroupGenes
from okrcell.tasks.groups.group_sentences import (
    competitor_sentence,
    contradiction_sentence,
    marker_sentence,
    vote_sentence,
)
from okrcell.tasks.group_annotation import GroupVote
from okrcell.tasks.groups.rivals import CompetingType
from okrcell.tasks.groups.witness import confirmed_ancestor, marker_support
from okrcell.texts.description import Sentence
from okrcell.texts.gather import EvidenceCache


@dataclass(frozen=True)
class GroupLabel:
    """Type assigned to a group, with the sentences that justify it."""

    status: str
    """confident: one candidate. broad: some descendant of the named type. unknown: no type is assigned."""
    name: str
    term_id: str
    sentence: Sentence
    """Sentence that states the type."""
    marker_sentences: tuple[Sentence, ...] = ()
    """Sentences about known marker genes."""


def label_group(
    group: str,
    n_cells: int,
    vote: GroupVote,
    competitor: CompetingType | None,
    genes: GroupGenes | None,
    n_candidates: int,
    evidence_cache: EvidenceCache,
    methods: tuple[str, str],
) -> GroupLabel:
    """Return the majority vote, unless a competing type dominates or known marker genes contradict it.

    Parameters
    ----------
    group
        Name of the group.
    n_cells
        Number of cells of the group.
    vote
        Majority vote of the cells.
    competitor
        Competing type outside the candidates, if computed.
    genes
        Differential expression of the group, if computed.
    n_candidates
        Number of candidates.
    evidence_cache
        Cached access to the knowledge sources.
    methods
        Name of the model, and of the comparison of genes, for the evidence.
    """
    model, method = methods
    if competitor is not None and competitor.dominates:
        return GroupLabel(
            "unknown", "unknown", "", competitor_sentence(group, n_cells, vote, competitor, n_candidates, model)
        )
    statement = vote_sentence(group, n_cells, vote, n_candidates, model)
    support = marker_support(vote.term_id, genes, evidence_cache) if vote.term_id and genes else None
    if support is None or genes is None:
        return GroupLabel(vote.status, vote.name, vote.term_id, statement)
    marker_statement = marker_sentence(group, support, genes, method)
    if not support.contradicts:
        return GroupLabel(vote.status, vote.name, vote.term_id, statement, (marker_statement,))
    confirmed = confirmed_ancestor(vote.term_id, genes, evidence_cache)
    rejection = contradiction_sentence(group, n_cells, vote, support, confirmed, model)
    if confirmed is None:
        return GroupLabel("unknown", "unknown", "", rejection, (marker_statement,))
    name = ontology(CELL_ONTOLOGY).term(confirmed.term_id).name
    confirmation = marker_sentence(group, confirmed, genes, method)
    return GroupLabel("broad", name, confirmed.term_id, rejection, (marker_statement, confirmation))
