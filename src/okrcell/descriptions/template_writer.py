"""Template writer: cited descriptions without a language model."""

import re
from collections.abc import Iterator, Sequence

from okrcell.evidence import Evidence
from okrcell.ontology.ontology import ontology
from okrcell.texts.description import Description, Sentence
from okrcell.texts.known import EvidenceIndex, is_a_records
from okrcell.ontology.obs_profile import CellProfile
from okrcell.texts.sentences import (
    capitalize_first,
    definition_sentence,
    indefinite_article,
    join_list,
    split_sentences,
    truncate_sentences,
)
from okrcell.texts.template.gene_words import function_sentences
from okrcell.descriptions.evidence_lookup import (
    MAX_FUNCTION_GENES,
    MIN_MARKERS,
    absent_markers,
    general_markers,
    tissue_markers,
)
from okrcell.descriptions.metadata_text import (
    join_sentences,
    original_phrasings,
    prose_definition,
    sample_sentences,
    type_sentences,
    unique_texts,
)
from okrcell.texts.template.quotation import literature_quote

MAX_MARKERS = 10
MAX_TISSUE_MARKERS = 6
"""Maximum number of marker genes for the tissue of the profile."""
MAX_ABSENT_MARKERS = 3
MAX_FUNCTIONS = 3
MAX_EXPERT_CHARS = 450
"""Maximum number of characters of an expert description, in whole sentences: about 100 word pieces."""
MAX_DEFINITION_CHARS = 220


class TemplateWriter:
    """Writer that fills sentence templates with the evidence; each sentence cites its records.

    The text contains: the cell type with definition and synonyms, its marker genes, the sample's tissue, disease, stage,
    sex and assay, negative marker genes, an expert description, functions of the marker genes, and a literature
    sentence on the cell type. Offline and deterministic; the baseline for language-model writers.
    """

    name = "template"

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe the profile from the evidence for its terms; without any fact the text is "A cell."."""
        index = EvidenceIndex(evidence)
        type_part = tuple(type_sentences(profile, index))
        sample_part = tuple(sample_sentences(profile, index))
        tissue_part = tuple(_tissue_marker_sentence(profile, index))
        markers = (
            *tissue_part,
            *_general_marker_sentences(
                profile, index, "Its marker genes in general" if tissue_part else "Its marker genes"
            ),
        )
        expert, functions = _expert_sentences(profile, index), _marker_function_sentences(profile, index)
        details = (*_absent_marker_sentence(profile, index), *expert, *functions, *literature_quote(profile, index))
        # The sample comes before the long sentences, so that it is within the 256 word pieces that an encoder reads.
        sentences = (*type_part, *markers, *sample_part, *details)
        short_phrasings = tuple(original_phrasings(profile, index))
        phrasings = (
            join_sentences(sentences),
            *_type_phrasings(profile, index, join_sentences(expert), join_sentences(functions)),
            *short_phrasings,
        )
        original = (join_sentences((*type_part, *sample_part)), *short_phrasings) if markers or details else ()
        return Description(profile, sentences, unique_texts(phrasings), self.name, original=unique_texts(original))


def _type_phrasings(profile: CellProfile, index: EvidenceIndex, expert: str, functions: str) -> Iterator[str]:
    """Yield phrasings that describe the cell type only, independent of the sample; all its profiles share them."""
    name, definition = profile.cell_type, prose_definition(profile.cell_type_id, index)
    subject = f"{indefinite_article(name)} {name}"
    markers = join_sentences(_general_marker_sentences(profile, index, f"Marker genes of {subject}"))
    markers = re.sub(r"(?:^|(?<=\. ))It is", f"{capitalize_first(subject)} is", markers)
    if markers:
        yield _join_texts(
            definition_sentence(name, definition.text if definition else "", MAX_DEFINITION_CHARS), markers, expert
        )
        yield markers
        if functions:
            yield _join_texts(markers, functions)
    if expert:
        yield expert


def _tissue_marker_sentence(profile: CellProfile, index: EvidenceIndex) -> Iterator[Sentence]:
    """Yield the sentence on marker genes of the cell type in the profile's tissue."""
    tissue_id, markers = tissue_markers(profile.cell_type_id, profile.tissue_id, index, MAX_TISSUE_MARKERS)
    general_genes = general_markers(profile.cell_type_id, index, MAX_MARKERS).genes
    if len(markers.genes) >= MIN_MARKERS and not set(markers.genes) <= set(general_genes):
        tissue = profile.tissue if tissue_id == profile.tissue_id else ontology("UBERON").term(tissue_id).name
        yield Sentence(f"In {tissue}, its marker genes include {join_list(markers.genes)}.", markers.evidence)


def _general_marker_sentences(profile: CellProfile, index: EvidenceIndex, subject: str) -> Iterator[Sentence]:
    """Yield the sentence on marker genes in any tissue; with few markers, also those of a broader type."""
    markers = general_markers(profile.cell_type_id, index, MAX_MARKERS)
    if markers.genes:
        yield Sentence(f"{subject} include {join_list(markers.genes)}.", markers.evidence)
    if len(markers.genes) >= MIN_MARKERS:
        return
    for relation in is_a_records(profile.cell_type_id, index):
        broader_id = relation.terms[1]
        markers = general_markers(broader_id, index, MAX_MARKERS)
        if markers.genes:
            cited = (relation, *index.from_record(broader_id, "name"), *markers.evidence)
            statement = (
                f"It is a kind of {ontology('CL').term(broader_id).name}, a cell type whose marker genes include"
            )
            yield Sentence(f"{statement} {join_list(markers.genes)}.", cited)


def _absent_marker_sentence(profile: CellProfile, index: EvidenceIndex) -> Iterator[Sentence]:
    """Yield the sentence on negative marker genes: low compared with other cells, not necessarily absent."""
    markers = absent_markers(profile.cell_type_id, index, MAX_ABSENT_MARKERS)
    if markers.genes:
        sources = join_list(tuple(dict.fromkeys(piece.source for piece in markers.evidence)))
        verb = "lists" if len(markers.evidence) == 1 else "list"
        noun = "a negative marker" if len(markers.genes) == 1 else "negative markers"
        yield Sentence(f"{sources} {verb} {join_list(markers.genes)} as {noun} of this cell type.", markers.evidence)


def _expert_sentences(profile: CellProfile, index: EvidenceIndex) -> tuple[Sentence, ...]:
    """Quote the first sentences of an expert description."""
    for piece in index.mentioning(profile.cell_type_id, "description")[:1]:
        return tuple(
            Sentence(text, (piece,)) for text in split_sentences(truncate_sentences(piece.text, MAX_EXPERT_CHARS))
        )
    return ()


def _marker_function_sentences(profile: CellProfile, index: EvidenceIndex) -> tuple[Sentence, ...]:
    """Return sentences on the functions of the top marker genes."""
    markers = general_markers(profile.cell_type_id, index, MAX_MARKERS).genes
    if len(markers) < MIN_MARKERS:
        broader_ids = (relation.terms[1] for relation in is_a_records(profile.cell_type_id, index))
        markers = next((general_markers(term, index, MAX_MARKERS).genes for term in broader_ids), markers)
    return function_sentences(markers[:MAX_FUNCTION_GENES], index, MAX_FUNCTIONS)


def _join_texts(*texts: str) -> str:
    return " ".join(filter(None, texts))
