"""Original text of a profile: metadata and ontology only."""

import re
from collections.abc import Iterable, Iterator, Sequence

from okrcell.evidence import Evidence
from okrcell.knowledge.naming import normalize_name
from okrcell.texts.description import Description, Sentence
from okrcell.texts.known import EvidenceIndex
from okrcell.ontology.obs_profile import CellProfile, profile_evidence
from okrcell.texts.sentences import apposition, capitalize_first, definition_sentence, indefinite_article, is_prose

NORMAL_ID = "PATO:0000461"
"""PATO term for tissue without disease ("normal")."""
_SAMPLE_CODE = re.compile(r"^\S*\w\.\w\S*$")
"""One word with a full stop inside: a sample code of the Immunological Genome Project."""


def original_description(
    profile: CellProfile, evidence: Sequence[Evidence], writer: str = "template", remark: str = ""
) -> Description:
    """Describe a profile by its metadata and the names and definitions of its terms only (the paper's original text).

    With a ``remark`` the outcome is "original": the text replaces one that was rejected or could not be written, for the
    reason in ``remark``.
    """
    index = EvidenceIndex(evidence)
    sentences = (*type_sentences(profile, index), *sample_sentences(profile, index))
    texts = (join_sentences(sentences), *original_phrasings(profile, index))
    outcome = "original" if remark else "written"
    return Description(profile, sentences, unique_texts(texts), writer, outcome=outcome, remark=remark)


def type_sentences(profile: CellProfile, index: EvidenceIndex) -> Iterator[Sentence]:
    """Yield sentences with the definition and the synonyms of the cell type, with their records."""
    if not profile.cell_type:
        return
    type_id = profile.cell_type_id
    definition = prose_definition(type_id, index)
    fact = (
        profile_evidence("cell_type", profile.label)
        if profile.label
        else profile_evidence("cell_type_ontology_term_id", type_id)
    )
    text = (
        definition_sentence(profile.cell_type, definition.text if definition else "")
        if type_id
        else f"{profile.label}, as the authors call this cell."
    )
    yield Sentence(text, (fact, *_name_records(index, type_id, definition is not None)))
    synonyms = distinct_synonyms(profile.cell_type, index.synonyms(type_id), 2)
    if synonyms:
        pieces = tuple(piece for piece in index.from_record(type_id, "synonym") if piece.text in synonyms)
        yield Sentence(f"It is also called {' or '.join(synonyms)}.", pieces)


def sample_sentences(profile: CellProfile, index: EvidenceIndex) -> Iterator[Sentence]:
    """Yield sentences on the sample, one per fact: tissue, disease, developmental stage, sex, assay."""
    subject = "It" if profile.cell_type else "This cell"
    if profile.tissue:
        tissue = _append_definition(profile.tissue, prose_definition(profile.tissue_id, index))
        cited = _name_records(index, profile.tissue_id, tissue != profile.tissue)
        yield Sentence(f"{subject} comes from {tissue}.", (profile_evidence("tissue", profile.tissue), *cited))
    if profile.disease_id == NORMAL_ID:
        yield Sentence(
            "The tissue is normal.",
            (profile_evidence("disease", profile.disease), *index.from_record(NORMAL_ID, "name")),
        )
    elif profile.disease:
        disease = _append_definition(profile.disease, prose_definition(profile.disease_id, index))
        cited = _name_records(index, profile.disease_id, disease != profile.disease)
        yield Sentence(f"The disease is {disease}.", (profile_evidence("disease", profile.disease), *cited))
    if profile.development_stage:
        stage = profile.development_stage.removesuffix(" stage")
        yield Sentence(
            f"The stage of life is {stage}.", (profile_evidence("development_stage", profile.development_stage),)
        )
    if profile.sex:
        yield Sentence(f"The donor is {profile.sex}.", (profile_evidence("sex", profile.sex),))
    if profile.assay:
        yield Sentence(f"It was measured by {profile.assay}.", (profile_evidence("assay", profile.assay),))


def original_phrasings(profile: CellProfile, index: EvidenceIndex) -> Iterator[str]:
    """Yield shorter phrasings, from name and definition to the author's label; "A cell." for an unknown cell."""
    name, label = profile.cell_type, profile.label
    definition = prose_definition(profile.cell_type_id, index)
    if not profile.has_values:
        yield "A cell."
    if name:
        if definition:
            yield definition_sentence(name, definition.text)
        yield name
        if profile.tissue:
            yield f"{name} in {profile.tissue}"
        if normalize_name(label) != normalize_name(name):
            yield label
        yield from distinct_synonyms(name, index.synonyms(profile.cell_type_id), 2)
    subject = f"{indefinite_article(name)} {name}" if profile.cell_type_id else "" if name else "a cell"
    if subject and (profile.tissue or profile.disease):
        yield f"{capitalize_first(subject)}{_sample_clause(profile)}."
    if label and (profile.tissue or profile.disease) and (not subject or normalize_name(label) != normalize_name(name)):
        yield f"{label}{_sample_clause(profile)}"


def prose_definition(term_id: str, index: EvidenceIndex) -> Evidence | None:
    """Return the term's definition if it is prose (`readable`)."""
    definition = index.definition(term_id)
    return definition if definition is not None and is_prose(definition.text) else None


def distinct_synonyms(name: str, synonyms: Iterable[str], max_names: int) -> tuple[str, ...]:
    """Select up to ``max_names`` synonyms that are not spelling variants of the name or of each other.

    Full names come before abbreviations. Inverted names ("muscle, smooth") and sample codes ("T.4Nve.Sp") are excluded.
    """
    by_canonical_name: dict[str, str] = {_canonical_name(name): ""}
    for synonym in sorted(synonyms, key=lambda candidate: len(candidate) <= 5):
        if len(synonym) > 2 and ("," not in synonym or "," in name) and not _SAMPLE_CODE.search(synonym):
            by_canonical_name.setdefault(_canonical_name(synonym), synonym)
    return tuple(by_canonical_name.values())[1 : max_names + 1]


def join_sentences(sentences: Iterable[Sentence]) -> str:
    """Join sentences to one text."""
    return " ".join(sentence.text for sentence in sentences)


def unique_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Remove duplicates and empty texts; keeps the order."""
    return tuple(dict.fromkeys(text for text in texts if text))


def _sample_clause(profile: CellProfile) -> str:
    if profile.disease_id == NORMAL_ID:
        return f" in normal {profile.tissue or 'tissue'}"
    clause = f" in {profile.tissue}" if profile.tissue else ""
    return f"{clause} of a donor with {profile.disease}" if profile.disease else clause


def _append_definition(name: str, definition: Evidence | None) -> str:
    return apposition(name, definition.text) if definition else name


def _name_records(index: EvidenceIndex, term_id: str, with_definition: bool) -> tuple[Evidence, ...]:
    definition = prose_definition(term_id, index) if with_definition else None
    return (*index.from_record(term_id, "name")[:1], *((definition,) if definition else ()))


def _canonical_name(name: str) -> str:
    return normalize_name(name).replace("lymphocyte", "cell")
