"""Sentences about a group of cells, each with its evidence."""

from collections.abc import Sequence

from okrcell.evidence import Evidence
from okrcell.ontology.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY
from okrcell.tasks.rank_genes import GroupGene, GroupGenes
from okrcell.tasks.group_annotation import GroupVote
from okrcell.tasks.groups.rivals import CompetingType
from okrcell.tasks.groups.witness import MarkerSupport
from okrcell.texts.description import Sentence
from okrcell.texts.sentences import indefinite_article, join_list, lowercase_first

OWN_DATA = "these cells"
"""Source name of evidence computed from the data itself."""
MAX_NAMED_GENES = 8
"""Maximum number of genes in a sentence."""


def vote_evidence(group: str, vote: GroupVote, model: str) -> Evidence:
    """Evidence of the vote of the cells."""
    parts = (
        f"{likely_type.name} {likely_type.fraction:.1%} (mean probability {likely_type.probability:.3f})"
        for likely_type in vote.types
    )
    text = f"Nearest candidate of {vote.n_measured:,} cells with expression: {'; '.join(parts) or 'none'}."
    return Evidence(text, OWN_DATA, f"group {group}, nearest candidates", model, "", "metadata")


def genes_evidence(group: str, genes: Sequence[GroupGene], method: str) -> Evidence:
    """Evidence of the differential expression of genes."""
    parts = (f"{gene.symbol} {gene.log2_fold:+.1f} ({gene.inside:.0%}, {gene.outside:.0%})" for gene in genes)
    text = f"log2 fold (share of cells in the group, outside): {'; '.join(parts) or 'no gene'}."
    symbols = tuple(gene.symbol for gene in genes)
    return Evidence(
        text, OWN_DATA, f"group {group}, genes against all other cells", method, "", "metadata", (), symbols
    )


def vote_sentence(group: str, n_cells: int, vote: GroupVote, n_candidates: int, model: str) -> Sentence:
    """Sentence about the likely type by majority vote, or that the type is unknown."""
    subject = _subject(group, n_cells)
    candidates_text = f"{n_candidates} candidates"
    fraction_text = f"{vote.fraction:.0%} of its cells are"
    nearest_text = join_list([f"{likely_type.name} ({likely_type.fraction:.0%})" for likely_type in vote.types[:3]])
    if not vote.n_measured:
        text = f"{subject} has no cell with expression, so its type is unknown."
    elif vote.status == "confident":
        context = f"of {candidates_text}" if n_candidates > 1 else "and no other candidate was given"
        text = f"{subject} is most likely {indefinite_article(vote.name)} {vote.name}: {fraction_text} nearest to it, {context}."
    elif vote.status == "broad":
        text = (
            f"{subject} is most likely some kind of {vote.name}: {fraction_text} nearest to kinds of it, "
            f"but none of {candidates_text} has more than half; the most frequent are {nearest_text}."
        )
    else:
        text = f"The type of {lowercase_first(subject)} is unknown: its cells disagree. The most frequent of {candidates_text} are {nearest_text}."
    return Sentence(text, (vote_evidence(group, vote, model),))


def contradiction_sentence(
    group: str, n_cells: int, vote: GroupVote, contradicted: MarkerSupport, confirmed: MarkerSupport | None, model: str
) -> Sentence:
    """Sentence about a group whose vote is contradicted by known marker genes."""
    subject = _subject(group, n_cells)
    reason = f"{vote.fraction:.0%} of its cells are nearest to {vote.name}, but the known marker genes of that type contradict it."
    if confirmed is None:
        text = f"The type of {lowercase_first(subject)} is unknown: {reason}"
    else:
        text = f"{subject} is most likely some kind of {_type_name(confirmed)}: {reason}"
    markers = (*contradicted.markers.evidence, *(confirmed.markers.evidence if confirmed else ()))
    return Sentence(text, (vote_evidence(group, vote, model), *markers))


def competitor_sentence(
    group: str, n_cells: int, vote: GroupVote, competitor: CompetingType, n_candidates: int, model: str
) -> Sentence:
    """Sentence about a group whose cells match a known type outside the candidates better."""
    best_type = vote.types[0]
    candidates_text = (
        f"{best_type.name}, of {n_candidates} candidates"
        if n_candidates > 1
        else f"{best_type.name}, the only candidate"
    )
    text = (
        f"The type of {lowercase_first(_subject(group, n_cells))} is unknown: {best_type.fraction:.0%} of its cells are nearest to {candidates_text}, but "
        f"{competitor.fraction_doubted:.0%} match another type that the model knows at least twice as well; the best is "
        f"{competitor.name} (mean match {competitor.similarity:.2f}, against {best_type.similarity:.2f})."
    )
    return Sentence(text, (vote_evidence(group, vote, model),))


def genes_sentence(group: str, markers: Sequence[GroupGene], method: str, *, compared: bool) -> Sentence:
    """Sentence about the marker genes of the group."""
    symbols = [gene.symbol for gene in markers]
    if not compared:
        text = "No gene could be compared: the group, or all that is outside it, has fewer than three cells."
    elif not symbols:
        text = f"No gene distinguishes group {group} clearly from the others."
    else:
        text = f"It differs from the other groups most clearly by {join_list(symbols[:MAX_NAMED_GENES])}."
    return Sentence(text, (genes_evidence(group, markers[:MAX_NAMED_GENES], method),))


def marker_sentence(group: str, support: MarkerSupport, genes: GroupGenes, method: str) -> Sentence:
    """Sentence about the expression of a type's known marker genes in the group."""
    name, n_markers, measured = _type_name(support), len(support.markers.genes), support.measured
    only_present = [gene for gene in support.expressed if gene not in support.group_markers]
    if not measured:
        text = f"None of the {n_markers} best supported marker genes of {name} was measured, so the type cannot be checked."
    else:
        parts = [
            f"{join_list(support.group_markers)} mark{'s' if len(support.group_markers) == 1 else ''} this group too"
        ] * bool(support.group_markers)
        parts += [f"{join_list(only_present)} {'is' if len(only_present) == 1 else 'are'} present"] * bool(only_present)
        finding = " and ".join(parts) or "none is expressed in a quarter of its cells"
        conclusion = ", which contradicts the type" if support.contradicts else ""
        text = (
            f"Of the {n_markers} best supported marker genes of {name}, {len(measured)} "
            f"{'was' if len(measured) == 1 else 'were'} measured: {finding}{conclusion}."
        )
    own_evidence = genes_evidence(group, [gene for gene in map(genes.get, measured) if gene is not None], method)
    return Sentence(text, (*support.markers.evidence, own_evidence))


def cite_vote(sentence: Sentence, label_sentence: Sentence) -> Sentence:
    """Cite the vote of the cells in place of the profile's cell type, which is not an annotation of the file."""
    evidence = [
        label_sentence.evidence[0] if piece.record.startswith("profile.cell_type") else piece
        for piece in sentence.evidence
    ]
    return Sentence(sentence.text, tuple(dict.fromkeys(evidence)))


def _subject(group: str, n_cells: int) -> str:
    return f"Group {group} ({n_cells:,} {'cell' if n_cells == 1 else 'cells'})"


def _type_name(support: MarkerSupport) -> str:
    return ontology(CELL_ONTOLOGY).term(support.term_id).name
