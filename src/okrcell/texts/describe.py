"""Describe profiles with a writer; prompt texts of a zero-shot candidate."""

from collections.abc import Iterable, Sequence

from okrcell.errors import InputError
from okrcell.knowledge.evidence import KnowledgeSource
from okrcell.knowledge.ontology import OntologySource, Term, ontology, prefix_of
from okrcell.texts.description import Description, Writer
from okrcell.texts.gather import Inquiry, evidence_for
from okrcell.texts.profile import CellProfile
from okrcell.texts.sentences import introduced
from okrcell.texts.template.original import other_names, without_repetition
from okrcell.texts.template.writer import TemplateWriter


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
    inquiry = Inquiry((OntologySource(),) if sources is None else sources)
    order = list(profiles)
    written = {profile: writer.write(profile, evidence_for(profile, inquiry)) for profile in dict.fromkeys(order)}
    return [written[profile] for profile in order]


def label_texts(candidate: str) -> tuple[str, ...]:
    """Return the prompt texts of a zero-shot candidate, the most informative first.

    A Cell Ontology id gives its definition, its name and up to three synonyms. A name or synonym in the ontology gives
    the same texts after the candidate itself. Any other text is returned unchanged.

    Raises
    ------
    InputError
        If the candidate is empty, or has the form of an ontology id that does not exist.
    """
    words = " ".join(candidate.split())
    if not words:
        raise InputError("A candidate is empty; give a cell type name, a Cell Ontology id or a sentence.")
    prefix = prefix_of(words)
    if prefix is not None:
        return _texts_of(ontology(prefix).term(words))
    term = ontology("CL").find(words)
    return without_repetition((words, *(_texts_of(term) if term else ())))


def _texts_of(term: Term) -> tuple[str, ...]:
    names = (term.name, *other_names(term.name, term.synonyms, 3))
    return without_repetition((introduced(term.name, term.definition), *names))
