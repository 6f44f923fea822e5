"""Original text of a profile: metadata and ontology only."""

import re
from collections.abc import Iterable, Iterator, Sequence

from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.naming import normal_name
from okrcell.texts.description import Description, Sentence
from okrcell.texts.known import Known
from okrcell.texts.profile import CellProfile, stated
from okrcell.texts.sentences import apposition, article, capital, introduced, readable

NORMAL = "PATO:0000461"
"""PATO term for tissue without disease ("normal")."""
_CODE = re.compile(r"^\S*\w\.\w\S*$")
"""One word with a full stop inside: a sample code of the Immunological Genome Project."""


def original_description(
    profile: CellProfile, evidence: Sequence[Evidence], writer: str = "template", remark: str = ""
) -> Description:
    """Describe a profile by its metadata and the names and definitions of its terms only (the paper's original text).

    With a ``remark`` the outcome is "original": the text replaces one that was rejected or could not be written, for the
    reason in ``remark``.
    """
    known = Known(evidence)
    sentences = (*type_sentences(profile, known), *sample_sentences(profile, known))
    texts = (joined(sentences), *original_phrasings(profile, known))
    outcome = "original" if remark else "written"
    return Description(profile, sentences, without_repetition(texts), writer, outcome=outcome, remark=remark)


def type_sentences(profile: CellProfile, known: Known) -> Iterator[Sentence]:
    """Yield sentences with the definition and the synonyms of the cell type, with their records."""
    if not profile.cell_type:
        return
    type_id = profile.cell_type_id
    definition = definition_of(type_id, known)
    fact = stated("cell_type", profile.label) if profile.label else stated("cell_type_ontology_term_id", type_id)
    said = (
        introduced(profile.cell_type, definition.text if definition else "")
        if type_id
        else f"{profile.label}, as the authors call this cell."
    )
    yield Sentence(said, (fact, *_named(known, type_id, definition is not None)))
    also = other_names(profile.cell_type, known.synonyms(type_id), 2)
    if also:
        pieces = tuple(piece for piece in known.record(type_id, "synonym") if piece.text in also)
        yield Sentence(f"It is also called {' or '.join(also)}.", pieces)


def sample_sentences(profile: CellProfile, known: Known) -> Iterator[Sentence]:
    """Yield sentences on the sample, one per fact: tissue, disease, developmental stage, sex, assay."""
    subject = "It" if profile.cell_type else "This cell"
    if profile.tissue:
        place = _in_passing(profile.tissue, definition_of(profile.tissue_id, known))
        cited = _named(known, profile.tissue_id, place != profile.tissue)
        yield Sentence(f"{subject} comes from {place}.", (stated("tissue", profile.tissue), *cited))
    if profile.disease_id == NORMAL:
        yield Sentence("The tissue is normal.", (stated("disease", profile.disease), *known.record(NORMAL, "name")))
    elif profile.disease:
        disease = _in_passing(profile.disease, definition_of(profile.disease_id, known))
        cited = _named(known, profile.disease_id, disease != profile.disease)
        yield Sentence(f"The disease is {disease}.", (stated("disease", profile.disease), *cited))
    if profile.development_stage:
        stage = profile.development_stage.removesuffix(" stage")
        yield Sentence(f"The stage of life is {stage}.", (stated("development_stage", profile.development_stage),))
    if profile.sex:
        yield Sentence(f"The donor is {profile.sex}.", (stated("sex", profile.sex),))
    if profile.assay:
        yield Sentence(f"It was measured by {profile.assay}.", (stated("assay", profile.assay),))


def original_phrasings(profile: CellProfile, known: Known) -> Iterator[str]:
    """Yield shorter phrasings, from name and definition to the author's label; "A cell." for an unknown cell."""
    name, label = profile.cell_type, profile.label
    definition = definition_of(profile.cell_type_id, known)
    if not profile.known:
        yield "A cell."
    if name:
        if definition:
            yield introduced(name, definition.text)
        yield name
        if profile.tissue:
            yield f"{name} in {profile.tissue}"
        if normal_name(label) != normal_name(name):
            yield label
        yield from other_names(name, known.synonyms(profile.cell_type_id), 2)
    subject = f"{article(name)} {name}" if profile.cell_type_id else "" if name else "a cell"
    if subject and (profile.tissue or profile.disease):
        yield f"{capital(subject)}{_where(profile)}."
    if label and (profile.tissue or profile.disease) and (not subject or normal_name(label) != normal_name(name)):
        yield f"{label}{_where(profile)}"


def definition_of(term_id: str, known: Known) -> Evidence | None:
    """Return the term's definition if it is prose (`readable`)."""
    definition = known.definition(term_id)
    return definition if definition is not None and readable(definition.text) else None


def other_names(name: str, synonyms: Iterable[str], most: int) -> tuple[str, ...]:
    """Select up to ``most`` synonyms that are not spelling variants of the name or of each other.

    Full names come before abbreviations. Inverted names ("muscle, smooth") and sample codes ("T.4Nve.Sp") are excluded.
    """
    chosen: dict[str, str] = {_root(name): ""}
    for synonym in sorted(synonyms, key=lambda words: len(words) <= 5):
        if len(synonym) > 2 and ("," not in synonym or "," in name) and not _CODE.search(synonym):
            chosen.setdefault(_root(synonym), synonym)
    return tuple(chosen.values())[1 : most + 1]


def joined(sentences: Iterable[Sentence]) -> str:
    """Join sentences to one text."""
    return " ".join(sentence.text for sentence in sentences)


def without_repetition(texts: Iterable[str]) -> tuple[str, ...]:
    """Remove duplicates and empty texts; keeps the order."""
    return tuple(dict.fromkeys(text for text in texts if text))


def _where(profile: CellProfile) -> str:
    if profile.disease_id == NORMAL:
        return f" in normal {profile.tissue or 'tissue'}"
    place = f" in {profile.tissue}" if profile.tissue else ""
    return f"{place} of a donor with {profile.disease}" if profile.disease else place


def _in_passing(name: str, definition: Evidence | None) -> str:
    return apposition(name, definition.text) if definition else name


def _named(known: Known, term_id: str, defined: bool) -> tuple[Evidence, ...]:
    definition = definition_of(term_id, known) if defined else None
    return (*known.record(term_id, "name")[:1], *((definition,) if definition else ()))


def _root(name: str) -> str:
    return normal_name(name).replace("lymphocyte", "cell")
