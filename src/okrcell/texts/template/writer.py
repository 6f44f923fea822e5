"""Template writer: cited descriptions without a language model."""

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
"""Maximum number of marker genes for the tissue of the profile."""
MOST_ABSENT = 3
MOST_FUNCTIONS = 3
EXPERT_LENGTH = 450
"""Maximum number of characters of an expert description, in whole sentences: about 100 word pieces."""
BRIEF_LENGTH = 220


class TemplateWriter:
    """Writer that fills sentence templates with the evidence; each sentence cites its records.

    The text contains: the cell type with definition and synonyms, its marker genes, the sample's tissue, disease, stage,
    sex and assay, negative marker genes, an expert description, functions of the marker genes, and a literature
    sentence on the cell type. Offline and deterministic; the baseline for language-model writers.
    """

    name = "template"

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe the profile from the evidence for its terms; without any fact the text is "A cell."."""
        known = Known(evidence)
        types = tuple(type_sentences(profile, known))
        sample = tuple(sample_sentences(profile, known))
        here = tuple(_in_tissue(profile, known))
        markers = (*here, *_in_general(profile, known, "Its marker genes in general" if here else "Its marker genes"))
        expert, functions = _expert(profile, known), _functions(profile, known)
        rest = (*_absent(profile, known), *expert, *functions, *quotation(profile, known))
        # The sample comes before the long sentences, so that it is within the 256 word pieces that an encoder reads.
        sentences = (*types, *markers, *sample, *rest)
        shorter = tuple(original_phrasings(profile, known))
        phrasings = (joined(sentences), *_type_phrasings(profile, known, joined(expert), joined(functions)), *shorter)
        original = (joined((*types, *sample)), *shorter) if markers or rest else ()
        return Description(
            profile, sentences, without_repetition(phrasings), self.name, original=without_repetition(original)
        )


def _type_phrasings(profile: CellProfile, known: Known, expert: str, functions: str) -> Iterator[str]:
    """Yield phrasings that describe the cell type only, independent of the sample; all its profiles share them."""
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
    """Yield the sentence on marker genes of the cell type in the profile's tissue."""
    tissue_id, markers = tissue_markers(profile.cell_type_id, profile.tissue_id, known, MOST_HERE)
    anywhere = general_markers(profile.cell_type_id, known, MOST_MARKERS).genes
    if len(markers.genes) >= ENOUGH and not set(markers.genes) <= set(anywhere):
        tissue = profile.tissue if tissue_id == profile.tissue_id else ontology("UBERON").term(tissue_id).name
        yield Sentence(f"In {tissue}, its marker genes include {listed(markers.genes)}.", markers.evidence)


def _in_general(profile: CellProfile, known: Known, subject: str) -> Iterator[Sentence]:
    """Yield the sentence on marker genes in any tissue; with few markers, also those of a broader type."""
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
    """Yield the sentence on negative marker genes: low compared with other cells, not necessarily absent."""
    markers = absent_markers(profile.cell_type_id, known, MOST_ABSENT)
    if markers.genes:
        who = listed(tuple(dict.fromkeys(piece.source for piece in markers.evidence)))
        verb = "lists" if len(markers.evidence) == 1 else "list"
        kind = "a negative marker" if len(markers.genes) == 1 else "negative markers"
        yield Sentence(f"{who} {verb} {listed(markers.genes)} as {kind} of this cell type.", markers.evidence)


def _expert(profile: CellProfile, known: Known) -> tuple[Sentence, ...]:
    """Quote the first sentences of an expert description."""
    for piece in known.telling_of(profile.cell_type_id, "description")[:1]:
        return tuple(Sentence(text, (piece,)) for text in split(shortened(piece.text, EXPERT_LENGTH)))
    return ()


def _functions(profile: CellProfile, known: Known) -> tuple[Sentence, ...]:
    """Return sentences on the functions of the top marker genes."""
    markers = general_markers(profile.cell_type_id, known, MOST_MARKERS).genes
    if len(markers) < ENOUGH:
        above = (relation.terms[1] for relation in kinship(profile.cell_type_id, known))
        markers = next((general_markers(term, known, MOST_MARKERS).genes for term in above), markers)
    return functions_of(markers[:GENES], known, MOST_FUNCTIONS)


def _in_a_row(*texts: str) -> str:
    return " ".join(filter(None, texts))
