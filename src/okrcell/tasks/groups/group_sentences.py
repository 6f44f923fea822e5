"""Sentences about a group of cells, each with its evidence."""

from collections.abc import Sequence

from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY
from okrcell.tasks.groups.group_genes import GroupGene, GroupGenes
from okrcell.tasks.groups.group_votes import Vote
from okrcell.tasks.groups.rivals import Rival
from okrcell.tasks.groups.witness import Witness
from okrcell.texts.description import Sentence
from okrcell.texts.sentences import article, listed, lower

OWN_DATA = "these cells"
"""Source name of evidence computed from the data itself."""
NAMED_GENES = 8
"""Maximum number of genes in a sentence."""


def vote_counted(group: str, vote: Vote, model: str) -> Evidence:
    """Evidence of the vote of the cells."""
    parts = (f"{each.name} {each.share:.1%} (mean probability {each.probability:.3f})" for each in vote.types)
    text = f"Nearest candidate of {vote.measured:,} cells with expression: {'; '.join(parts) or 'none'}."
    return Evidence(text, OWN_DATA, f"group {group}, nearest candidates", model, "", "metadata")


def genes_compared(group: str, genes: Sequence[GroupGene], method: str) -> Evidence:
    """Evidence of the differential expression of genes."""
    parts = (f"{gene.symbol} {gene.log2_fold:+.1f} ({gene.inside:.0%}, {gene.outside:.0%})" for gene in genes)
    text = f"log2 fold (share of cells in the group, outside): {'; '.join(parts) or 'no gene'}."
    symbols = tuple(gene.symbol for gene in genes)
    return Evidence(
        text, OWN_DATA, f"group {group}, genes against all other cells", method, "", "metadata", (), symbols
    )


def verdict_told(group: str, cells: int, vote: Vote, candidates: int, model: str) -> Sentence:
    """Sentence about the likely type by majority vote, or that the type is unknown."""
    subject = _subject(group, cells)
    among = f"{candidates} candidates"
    share = f"{vote.share:.0%} of its cells are"
    nearest = listed([f"{each.name} ({each.share:.0%})" for each in vote.types[:3]])
    if not vote.measured:
        text = f"{subject} has no cell with expression, so its type is unknown."
    elif vote.status == "confident":
        of = f"of {among}" if candidates > 1 else "and no other candidate was given"
        text = f"{subject} is most likely {article(vote.name)} {vote.name}: {share} nearest to it, {of}."
    elif vote.status == "broad":
        text = (
            f"{subject} is most likely some kind of {vote.name}: {share} nearest to kinds of it, "
            f"but none of {among} has more than half; the most frequent are {nearest}."
        )
    else:
        text = (
            f"The type of {lower(subject)} is unknown: its cells disagree. The most frequent of {among} are {nearest}."
        )
    return Sentence(text, (vote_counted(group, vote, model),))


def refusal_told(
    group: str, cells: int, vote: Vote, refused: Witness, believed: Witness | None, model: str
) -> Sentence:
    """Sentence about a group whose vote is contradicted by known marker genes."""
    subject = _subject(group, cells)
    but = f"{vote.share:.0%} of its cells are nearest to {vote.name}, but the known marker genes of that type contradict it."
    if believed is None:
        text = f"The type of {lower(subject)} is unknown: {but}"
    else:
        text = f"{subject} is most likely some kind of {_name(believed)}: {but}"
    markers = (*refused.markers.evidence, *(believed.markers.evidence if believed else ()))
    return Sentence(text, (vote_counted(group, vote, model), *markers))


def rival_told(group: str, cells: int, vote: Vote, rival: Rival, candidates: int, model: str) -> Sentence:
    """Sentence about a group whose cells match a known type outside the candidates better."""
    best = vote.types[0]
    among = f"{best.name}, of {candidates} candidates" if candidates > 1 else f"{best.name}, the only candidate"
    text = (
        f"The type of {lower(_subject(group, cells))} is unknown: {best.share:.0%} of its cells are nearest to {among}, but "
        f"{rival.doubting:.0%} match another type that the model knows at least twice as well; the best is "
        f"{rival.name} (mean match {rival.match:.2f}, against {best.match:.2f})."
    )
    return Sentence(text, (vote_counted(group, vote, model),))


def genes_told(group: str, marking: Sequence[GroupGene], method: str, *, compared: bool) -> Sentence:
    """Sentence about the marker genes of the group."""
    symbols = [gene.symbol for gene in marking]
    if not compared:
        text = "No gene could be compared: the group, or all that is outside it, has fewer than three cells."
    elif not symbols:
        text = f"No gene distinguishes group {group} clearly from the others."
    else:
        text = f"It differs from the other groups most clearly by {listed(symbols[:NAMED_GENES])}."
    return Sentence(text, (genes_compared(group, marking[:NAMED_GENES], method),))


def witness_told(group: str, heard: Witness, genes: GroupGenes, method: str) -> Sentence:
    """Sentence about the expression of a type's known marker genes in the group."""
    name, asked, measured = _name(heard), len(heard.markers.genes), heard.measured
    only_present = [gene for gene in heard.present if gene not in heard.marking]
    if not measured:
        text = f"None of the {asked} best supported marker genes of {name} was measured, so the type cannot be checked."
    else:
        parts = [f"{listed(heard.marking)} mark{'s' if len(heard.marking) == 1 else ''} this group too"] * bool(
            heard.marking
        )
        parts += [f"{listed(only_present)} {'is' if len(only_present) == 1 else 'are'} present"] * bool(only_present)
        found = " and ".join(parts) or "none is expressed in a quarter of its cells"
        against = ", which contradicts the type" if heard.refuses else ""
        text = (
            f"Of the {asked} best supported marker genes of {name}, {len(measured)} "
            f"{'was' if len(measured) == 1 else 'were'} measured: {found}{against}."
        )
    own = genes_compared(group, [gene for gene in map(genes.named, measured) if gene is not None], method)
    return Sentence(text, (*heard.markers.evidence, own))


def cited_anew(sentence: Sentence, verdict: Sentence) -> Sentence:
    """Cite the vote of the cells in place of the profile's cell type, which is not an annotation of the file."""
    evidence = [
        verdict.evidence[0] if piece.record.startswith("profile.cell_type") else piece for piece in sentence.evidence
    ]
    return Sentence(sentence.text, tuple(dict.fromkeys(evidence)))


def _subject(group: str, cells: int) -> str:
    return f"Group {group} ({cells:,} {'cell' if cells == 1 else 'cells'})"


def _name(heard: Witness) -> str:
    return ontology(CELL_ONTOLOGY).term(heard.term_id).name
