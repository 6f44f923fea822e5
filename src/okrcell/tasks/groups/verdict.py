"""Weigh what a group's cells say it is against their genes, and against what the model would have said openly."""

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
    """What is said of a group, and why."""

    status: str
    """confident: one candidate. broad: some kind of the type that is named. unknown: it is left open."""
    name: str
    term_id: str
    sentence: Sentence
    """Says it."""
    testimony: tuple[Sentence, ...] = ()
    """What the known marker genes say to it."""


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
    """Take the vote of the cells, unless known types or known marker genes speak against it.

    Parameters
    ----------
    candidates
        How many there were.
    methods
        Name of the model, and how genes were compared: they stand in the evidence.
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
