"""Type of a group: majority vote, checked against competing types and known marker genes."""

from dataclasses import dataclass

from okrcell.knowledge.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY
from okrcell.tasks.groups.group_genes import GroupGenes
from okrcell.tasks.groups.group_sentences import refusal_told, rival_told, verdict_told, witness_told
from okrcell.tasks.groups.group_votes import Vote
from okrcell.tasks.groups.rivals import Rival
from okrcell.tasks.groups.witness import supported_broader, witness
from okrcell.texts.description import Sentence
from okrcell.texts.gather import Inquiry


@dataclass(frozen=True)
class Verdict:
    """Type assigned to a group, with the sentences that justify it."""

    status: str
    """confident: one candidate. broad: some descendant of the named type. unknown: no type is assigned."""
    name: str
    term_id: str
    sentence: Sentence
    """Sentence that states the type."""
    testimony: tuple[Sentence, ...] = ()
    """Sentences about known marker genes."""


def verdict(
    group: str,
    cells: int,
    vote: Vote,
    rival: Rival | None,
    genes: GroupGenes | None,
    candidates: int,
    inquiry: Inquiry,
    methods: tuple[str, str],
) -> Verdict:
    """Return the majority vote, unless a competing type dominates or known marker genes contradict it.

    Parameters
    ----------
    group
        Name of the group.
    cells
        Number of cells of the group.
    vote
        Majority vote of the cells.
    rival
        Competing type outside the candidates, if computed.
    genes
        Differential expression of the group, if computed.
    candidates
        Number of candidates.
    inquiry
        Cached access to the knowledge sources.
    methods
        Name of the model, and of the comparison of genes, for the evidence.
    """
    model, method = methods
    if rival is not None and rival.wins:
        return Verdict("unknown", "unknown", "", rival_told(group, cells, vote, rival, candidates, model))
    taken = verdict_told(group, cells, vote, candidates, model)
    heard = witness(vote.term_id, genes, inquiry) if vote.term_id and genes else None
    if heard is None or genes is None:
        return Verdict(vote.status, vote.name, vote.term_id, taken)
    testimony = witness_told(group, heard, genes, method)
    if not heard.refuses:
        return Verdict(vote.status, vote.name, vote.term_id, taken, (testimony,))
    believed = supported_broader(vote.term_id, genes, inquiry)
    refusal = refusal_told(group, cells, vote, heard, believed, model)
    if believed is None:
        return Verdict("unknown", "unknown", "", refusal, (testimony,))
    name = ontology(CELL_ONTOLOGY).term(believed.term_id).name
    also = witness_told(group, believed, genes, method)
    return Verdict("broad", name, believed.term_id, refusal, (testimony, also))
