"""Template writer: cited descriptions without a language model."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from okrcell.descriptions.description import Description, Sentence, Writer
from okrcell.descriptions.evidence_lookup import (
    MAX_FUNCTION_GENES,
    MIN_MARKERS,
    EvidenceCache,
    EvidenceIndex,
    absent_markers,
    gather_evidence,
    general_markers,
    is_a_records,
    tissue_markers,
)
from okrcell.descriptions.metadata_text import (
    capitalize_first,
    definition_sentence,
    indefinite_article,
    join_list,
    join_sentences,
    original_phrasings,
    prose_definition,
    sample_sentences,
    truncate_sentences,
    type_sentences,
    unique_texts,
)
from okrcell.evidence import Evidence, KnowledgeSource, split_sentences
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import OntologySource, normalize_name, ontology

MAX_FUNCTION_NAME_CHARS = 60
"""Maximum length, in characters, of a Gene Ontology term name that is put into a sentence."""
MAX_SUMMARY_CHARS = 240
"""Maximum length of a sentence, in characters; longer sentences contain too much detail for a cell description."""

_GENE_SUBJECTS = (
    (re.compile(r"This (?:intronless |protein-coding )?gene\b(?! product| family| cluster)"), "{}"),
    (re.compile(r"The product of this gene\b"), "The product of {}"),
    (re.compile(r"This gene product\b(?! family)"), "The product of {}"),
    (re.compile(r"The (.{0,40}?\b)encoded by this gene\b"), r"The \1encoded by {}"),
    (re.compile(r"The encoded (protein|enzyme|receptor|preproprotein|cytokine|chemokine)\b"), r"The \1 encoded by {}"),
)
"""Patterns of the sentence subject in gene summaries ("This gene"), with replacements that name the gene."""
_OFF_TOPIC = re.compile(
    r"mutation|polymorphi|variant|splic|pseudogene|chromosom|isoform|locus|located (?:at|in) (?:a|the) .*cluster"
    r"|orthologs?\b|homologs?\b|mice|\bmouse\b|Drosophila|yeast|Saccharomyces|\bstudies\b|disease|syndrome|cancer"
    r"|carcinoma|tumou?r|has been (?:identified|suggested)|thought to|duplication|related gene|similar|resembl"
    r"|proteolytic|tandem repeat|represents the \w+ subunit\.|this (?:gene|family)|these (?:genes|proteins)|unknown"
    r"|not been determined"
)
"""Topics that are not the function of the gene in a cell: inheritance, history, other genes."""
_FAMILY_STATEMENT = re.compile(r"(?=.*\b(?:member|belongs|one of)\b)(?=.*(?:famil|group|class|subunit)).{0,130}")
MIN_QUOTE_CHARS, MAX_QUOTE_CHARS = 50, 280
"""Minimum and maximum length of a quoted sentence, in characters."""
_CONTEXT_DEPENDENT = re.compile(
    r"(?:this|these|those|it|they|such|here|we|our|however|therefore|thus|moreover|furthermore|in addition|also|both"
    r"|in contrast|conversely|consequently|finally|similarly|objectives?|background|methods?|results?|conclusions?|aims?)\b",
    re.IGNORECASE,
)
"""Openings of sentences that depend on the previous sentence or refer to the paper itself."""
_STUDY_SPECIFIC = re.compile(
    r"\b(?:we|our|this (?:study|paper|work|review)|patients|were|was|p ?[<=]|n ?=)\b|[%?]", re.IGNORECASE
)
_STATEMENT_VERB = re.compile(
    r"(?:is|are|can|may|have|has|play|express|produce|secrete|contribute|regulate|mediate|migrate|differentiate|act"
    r"|respond|recognise|recognize|kill|line|form|arise|derive|originate|represent|constitute|maintain|support|release"
    r"|undergo|serve|function|store|synthesi[sz]e)e?s?\b"
)
MAX_MARKERS = 10
MAX_TISSUE_MARKERS = 6
"""Maximum number of marker genes for the tissue of the profile."""
MAX_ABSENT_MARKERS = 3
MAX_FUNCTIONS = 3
MAX_EXPERT_CHARS = 450
"""Maximum number of characters of an expert description, in whole sentences: about 100 word pieces."""
MAX_DEFINITION_CHARS = 220


def function_sentences(symbols: Sequence[str], index: EvidenceIndex, max_sentences: int) -> tuple[Sentence, ...]:
    """Return sentences on the functions of at most ``max_sentences`` of the genes, in input order.

    Summary sentences that state a function are preferred to those that only name the gene family. Without any, the
    names of the genes' Gene Ontology functions are used.
    """
    summaries = [sentence for symbol in symbols if (sentence := _summary_sentence(symbol, index))]
    preferred = sorted(summaries, key=lambda sentence: _FAMILY_STATEMENT.fullmatch(sentence.text) is not None)[
        :max_sentences
    ]
    selected = tuple(sentence for sentence in summaries if sentence in preferred)
    return selected or tuple(
        islice(filter(None, (_annotation_sentence(symbol, index) for symbol in symbols)), max_sentences)
    )


def _summary_sentence(symbol: str, index: EvidenceIndex) -> Sentence | None:
    """Return the first sentence of a gene's summary that states its function, else its gene family."""
    candidates = [
        Sentence(statement, (piece,))
        for piece in index.mentioning_gene(symbol, "gene")
        for text in split_sentences(piece.text)
        if text.endswith(".") and (statement := _replace_subject(symbol, text)) and _states_function(statement)
    ]
    return min(candidates, key=lambda sentence: _FAMILY_STATEMENT.fullmatch(sentence.text) is not None, default=None)


def _states_function(sentence: str) -> bool:
    # A truncated summary has unbalanced brackets.
    is_balanced = sentence.count("(") == sentence.count(")")
    return is_balanced and len(sentence) <= MAX_SUMMARY_CHARS and _OFF_TOPIC.search(sentence) is None


def _annotation_sentence(symbol: str, index: EvidenceIndex) -> Sentence | None:
    for piece in index.mentioning_gene(symbol, "function"):
        function = piece.text.partition(": ")[2].rstrip(".")
        if piece.text.startswith(f"{symbol} ") and 0 < len(function) <= MAX_FUNCTION_NAME_CHARS:
            return Sentence(f"The Gene Ontology annotates {symbol} with {function}.", (piece,))
    return None


def _replace_subject(symbol: str, sentence: str) -> str:
    """Replace a leading "This gene" by the gene symbol; "" for a sentence with another subject."""
    for pattern, replacement in _GENE_SUBJECTS:
        if pattern.match(sentence):
            return pattern.sub(replacement.replace("{}", symbol.replace("\\", r"\\")), sentence, count=1)
    return sentence if re.match(rf"{re.escape(symbol)}(?: \([^()]*\))?,? [a-z]", sentence) else ""


def literature_quote(profile: CellProfile, index: EvidenceIndex) -> Iterator[Sentence]:
    """Yield the first literature sentence whose subject is the cell type, verbatim, with its record; at most one.

    Only general statements are quoted: no results of a single study, and no sentence that depends on its context.
    """
    if not profile.cell_type_id:
        return
    names = [profile.cell_type, *(name for name in index.synonyms(profile.cell_type_id) if len(name) > 4)]
    for piece in index.with_aspect("passage"):
        for text in split_sentences(piece.text) if _is_literature(piece) else ():
            if _has_subject(text, names):
                yield Sentence(f"The literature ({piece.record}) says: “{text}”", (piece,))
                return


def _has_subject(text: str, names: list[str]) -> bool:
    if (
        not MIN_QUOTE_CHARS <= len(text) <= MAX_QUOTE_CHARS
        or _CONTEXT_DEPENDENT.match(text)
        or _STUDY_SPECIFIC.search(text)
        or text[-1] != "."
    ):
        return False
    statement = re.sub(r"^(?:the|a|an) ", "", normalize_name(re.sub(r"\s*\([^()]*\)", "", text)))
    subjects = (normalize_name(name) for name in names)
    return any(
        statement.startswith(f"{subject} ") and _STATEMENT_VERB.match(statement[len(subject) + 1 :])
        for subject in subjects
    )


def _is_literature(piece: Evidence) -> bool:
    return not any(piece.record == term for term in piece.terms)


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
    markers = re.sub(r"(?:^|(?<=\. ))It is", lambda _: f"{capitalize_first(subject)} is", markers)
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


def describe(
    profiles: Iterable[CellProfile],
    writer: Writer | None = None,
    sources: Sequence[KnowledgeSource] | None = None,
) -> list[Description]:
    """Write the description of each profile, in input order; equal profiles share one description.

    Parameters
    ----------
    profiles
        Profiles of cells.
    writer
        Writer of the descriptions; by default `TemplateWriter`, which works offline.
    sources
        Knowledge sources that supply the evidence; by default the ontologies only.

    Returns
    -------
    One description per element of ``profiles``.
    """
    writer = TemplateWriter() if writer is None else writer
    cache = EvidenceCache((OntologySource(),) if sources is None else sources)
    profile_list = list(profiles)
    descriptions = {
        profile: writer.write(profile, gather_evidence(profile, cache)) for profile in dict.fromkeys(profile_list)
    }
    return [descriptions[profile] for profile in profile_list]
