"""A description written without a language model."""

import re
from collections.abc import Iterator, Sequence

from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.ontology import ontology
from okrcell.texts.description import Description, Sentence
from okrcell.texts.known import Known, kinship
from okrcell.texts.profile import CellProfile
from okrcell.texts.sentences import article, capital, introduced, listed, shortened, split
from okrcell.texts.template.gene_words import functions_of
from okrcell.texts.template.marker_choice import ENOUGH, GENES, absent_markers, general_markers, tissue_markers
from okrcell.texts.template.original import (
    definition_of,
    joined,
    original_phrasings,
    sample_sentences,
    type_sentences,
    without_repetition,
)
from okrcell.texts.template.quotation import quotation

MOST_MARKERS = 10
MOST_HERE = 6
"""Marker genes named for the tissue of the profile."""
MOST_ABSENT = 3
MOST_FUNCTIONS = 3
EXPERT_LENGTH = 450
"""Characters of an expert's description, in whole sentences: about 100 word pieces."""
BRIEF_LENGTH = 220


class TemplateWriter:
    """Fills a template with what the sources tell, a sentence per fact, each with the records it rests on.

    The cell type, its other names, its marker genes and those it lacks; the sample's tissue, disease, stage, sex and
    assay; then an expert's description, what the marker genes do, and a sentence of literature about the type.
    Offline and deterministic, and the control that a writer with a language model has to beat.
    """

    name = "template"

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe the profile with what is known of its terms; without any fact the text is "A cell."."""
        known = Known(evidence)
        types = tuple(type_sentences(profile, known))
        sample = tuple(sample_sentences(profile, known))
        here = tuple(_in_tissue(profile, known))
        markers = (*here, *_in_general(profile, known, "Its marker genes in general" if here else "Its marker genes"))
        expert, functions = _expert(profile, known), _functions(profile, known)
        rest = (*_absent(profile, known), *expert, *functions, *quotation(profile, known))
        # The sample stands before the long sentences: an encoder that reads 256 word pieces still gets to it.
        sentences = (*types, *markers, *sample, *rest)
        shorter = tuple(original_phrasings(profile, known))
        phrasings = (joined(sentences), *_type_phrasings(profile, known, joined(expert), joined(functions)), *shorter)
        original = (joined((*types, *sample)), *shorter) if markers or rest else ()
        return Description(
            profile, sentences, without_repetition(phrasings), self.name, original=without_repetition(original)
        )


def _type_phrasings(profile: CellProfile, known: Known, expert: str, functions: str) -> Iterator[str]:
    """Say what is true of the cell type wherever it is found, so that all its profiles share these texts."""
    name, definition = profile.cell_type, definition_of(profile.cell_type_id, known)
    subject = f"{article(name)} {name}"
    markers = joined(_in_general(profile, known, f"Marker genes of {subject}"))
    markers = re.sub(r"(?:^|(?<=\. ))It is", f"{capital(subject)} is", markers)
    if markers:
        yield _in_a_row(introduced(name, definition.text if definition else "", BRIEF_LENGTH), markers, expert)
        yield markers
        if functions:
            yield _in_a_row(markers, functions)
    if expert:
        yield expert


def _in_tissue(profile: CellProfile, known: Known) -> Iterator[Sentence]:
    """Name the genes that mark the cell type in the tissue it comes from."""
    tissue_id, markers = tissue_markers(profile.cell_type_id, profile.tissue_id, known, MOST_HERE)
    anywhere = general_markers(profile.cell_type_id, known, MOST_MARKERS).genes
    if len(markers.genes) >= ENOUGH and not set(markers.genes) <= set(anywhere):
        tissue = profile.tissue if tissue_id == profile.tissue_id else ontology("UBERON").term(tissue_id).name
        yield Sentence(f"In {tissue}, its marker genes include {listed(markers.genes)}.", markers.evidence)


def _in_general(profile: CellProfile, known: Known, subject: str) -> Iterator[Sentence]:
    """Name the genes that mark the cell type, and of one with few the marker genes of what it is a kind of."""
    markers = general_markers(profile.cell_type_id, known, MOST_MARKERS)
    if markers.genes:
        yield Sentence(f"{subject} include {listed(markers.genes)}.", markers.evidence)
    if len(markers.genes) >= ENOUGH:
        return
    for relation in kinship(profile.cell_type_id, known):
        broader_id = relation.terms[1]
        markers = general_markers(broader_id, known, MOST_MARKERS)
        if markers.genes:
            cited = (relation, *known.record(broader_id, "name"), *markers.evidence)
            said = f"It is a kind of {ontology('CL').term(broader_id).name}, a cell type whose marker genes include"
            yield Sentence(f"{said} {listed(markers.genes)}.", cited)


def _absent(profile: CellProfile, known: Known) -> Iterator[Sentence]:
    """Say which genes the tables list as negative markers: low beside other cells, which is not always absent."""
    markers = absent_markers(profile.cell_type_id, known, MOST_ABSENT)
    if markers.genes:
        who = listed(tuple(dict.fromkeys(piece.source for piece in markers.evidence)))
        verb = "lists" if len(markers.evidence) == 1 else "list"
        kind = "a negative marker" if len(markers.genes) == 1 else "negative markers"
        yield Sentence(f"{who} {verb} {listed(markers.genes)} as {kind} of this cell type.", markers.evidence)


def _expert(profile: CellProfile, known: Known) -> tuple[Sentence, ...]:
    """Quote the first sentences of an expert's description."""
    for piece in known.telling_of(profile.cell_type_id, "description")[:1]:
        return tuple(Sentence(text, (piece,)) for text in split(shortened(piece.text, EXPERT_LENGTH)))
    return ()


def _functions(profile: CellProfile, known: Known) -> tuple[Sentence, ...]:
    """Say what the first marker genes do."""
    markers = general_markers(profile.cell_type_id, known, MOST_MARKERS).genes
    if len(markers) < ENOUGH:
        above = (relation.terms[1] for relation in kinship(profile.cell_type_id, known))
        markers = next((general_markers(term, known, MOST_MARKERS).genes for term in above), markers)
    return functions_of(markers[:GENES], known, MOST_FUNCTIONS)


def _in_a_row(*texts: str) -> str:
    return " ".join(filter(None, texts))
