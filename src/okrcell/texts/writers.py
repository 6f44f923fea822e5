"""Descriptions written without a language model."""

from collections.abc import Iterable, Iterator, Sequence

from okrcell.knowledge.evidence import Aspect, Evidence
from okrcell.knowledge.naming import normal_name
from okrcell.texts.description import Description, Sentence, Writer
from okrcell.texts.profile import CellProfile
from okrcell.texts.sentences import apposition, article, capital, introduced

NORMAL = "PATO:0000461"
"""The term for tissue without disease."""


class TemplateWriter:
    """Fills a template, one sentence per fact: type, other names, tissue, disease, stage, sex, assay.

    Offline and deterministic, and the control that a writer with a language model has to beat.
    """

    name = "template"

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe the profile with what is known of its terms; without any fact the text is "A cell."."""
        sentences = tuple(_sentences(profile, _Known(evidence)))
        full = " ".join(sentence.text for sentence in sentences)
        texts = (full, *_phrasings(profile, _Known(evidence))) if sentences else ("A cell.",)
        return Description(profile, sentences, without_repetition(texts))


WRITERS: dict[str, Writer] = {"template": TemplateWriter()}
"""Every writer by its name."""


def without_repetition(texts: Iterable[str]) -> tuple[str, ...]:
    """Keep the first of equal texts, and no empty one."""
    return tuple(dict.fromkeys(text for text in texts if text))


def other_names(name: str, synonyms: Iterable[str], most: int) -> tuple[str, ...]:
    """Choose up to ``most`` synonyms that are more than another spelling of the name or of each other.

    Names in words come before abbreviations, and names turned round for an index ("muscle, smooth") are left out.
    """
    chosen: dict[str, str] = {_root(name): ""}
    for synonym in sorted(synonyms, key=lambda words: len(words) <= 5):
        if len(synonym) > 2 and ("," not in synonym or "," in name):
            chosen.setdefault(_root(synonym), synonym)
    return tuple(chosen.values())[1 : most + 1]


class _Known:
    """The evidence on a profile, by term and aspect."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._evidence = evidence

    def about(self, term_id: str, aspect: Aspect) -> tuple[Evidence, ...]:
        return tuple(piece for piece in self._evidence if piece.record == term_id and piece.aspect == aspect)

    def definition(self, term_id: str) -> str:
        return next((piece.text for piece in self.about(term_id, "definition")), "")

    def synonyms(self, term_id: str) -> tuple[str, ...]:
        return tuple(piece.text for piece in self.about(term_id, "synonym"))


def _sentences(profile: CellProfile, known: _Known) -> Iterator[Sentence]:
    """Say each fact in a sentence of its own, with the records it rests on."""
    subject = "This cell"
    if profile.cell_type:
        type_id = profile.cell_type_id
        definition = known.definition(type_id)
        cited = (*known.about(type_id, "name"), *known.about(type_id, "definition"))
        stated = (
            _stated("cell_type", profile.label) if profile.label else _stated("cell_type_ontology_term_id", type_id)
        )
        said = (
            introduced(profile.cell_type, definition) if type_id else f"{profile.label}, as the authors call this cell."
        )
        yield Sentence(said, (stated, *cited))
        also = other_names(profile.cell_type, known.synonyms(type_id), 2)
        if also:
            pieces = tuple(piece for piece in known.about(type_id, "synonym") if piece.text in also)
            yield Sentence(f"It is also called {' or '.join(also)}.", pieces)
        subject = "It"
    if profile.tissue:
        place = apposition(profile.tissue, known.definition(profile.tissue_id))
        cited = (*known.about(profile.tissue_id, "name"), *known.about(profile.tissue_id, "definition"))
        yield Sentence(f"{subject} comes from {place}.", (_stated("tissue", profile.tissue), *cited))
    if profile.disease_id == NORMAL:
        yield Sentence("The tissue is normal.", (_stated("disease", profile.disease), *known.about(NORMAL, "name")))
    elif profile.disease:
        disease = apposition(profile.disease, known.definition(profile.disease_id))
        cited = (*known.about(profile.disease_id, "name"), *known.about(profile.disease_id, "definition"))
        yield Sentence(f"The disease is {disease}.", (_stated("disease", profile.disease), *cited))
    if profile.development_stage:
        stage = profile.development_stage.removesuffix(" stage")
        yield Sentence(f"The stage of life is {stage}.", (_stated("development_stage", profile.development_stage),))
    if profile.sex:
        yield Sentence(f"The donor is {profile.sex}.", (_stated("sex", profile.sex),))
    if profile.assay:
        yield Sentence(f"It was measured by {profile.assay}.", (_stated("assay", profile.assay),))


def _phrasings(profile: CellProfile, known: _Known) -> Iterator[str]:
    """Say the same more briefly, from name and definition to what the author wrote."""
    name, label = profile.cell_type, profile.label
    definition = known.definition(profile.cell_type_id)
    if name:
        if definition:
            yield introduced(name, definition)
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


def _where(profile: CellProfile) -> str:
    if profile.disease_id == NORMAL:
        return f" in normal {profile.tissue or 'tissue'}"
    place = f" in {profile.tissue}" if profile.tissue else ""
    return f"{place} of a donor with {profile.disease}" if profile.disease else place


def _stated(fact: str, text: str) -> Evidence:
    # The profile, not a column of obs: a stage may have been read from a tissue's name, a word put in standard terms.
    return Evidence(text, "metadata", f"profile.{fact}", "", "", "metadata")


def _root(name: str) -> str:
    return normal_name(name).replace("lymphocyte", "cell")
