"""Describe profiles with a writer; prompt texts of a zero-shot candidate."""

from collections.abc import Iterable, Sequence

from okrcell.errors import InputError
from okrcell.evidence import KnowledgeSource
from okrcell.ontology.ontology import OntologySource, Term, ontology, prefix_of
from okrcell.texts.description import Description, Writer
from okrcell.texts.gather import EvidenceCache, gather_evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.texts.sentences import definition_sentence
from okrcell.descriptions.metadata_text import distinct_synonyms, unique_texts
from okrcell.descriptions.template_writer import TemplateWriter


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


def label_texts(candidate: str) -> tuple[str, ...]:
    """Return the prompt texts of a zero-shot candidate, the most informative first.

    A Cell Ontology id gives its definition, its name and up to three synonyms. A name or synonym in the ontology gives
    the same texts after the candidate itself. Any other text is returned unchanged.

    Raises
    ------
    InputError
        If the candidate is empty, or has the form of an ontology id that does not exist.
    """
    text = " ".join(candidate.split())
    if not text:
        raise InputError("A candidate is empty; give a cell type name, a Cell Ontology id or a sentence.")
    prefix = prefix_of(text)
    if prefix is not None:
        return _term_texts(ontology(prefix).term(text))
    term = ontology("CL").find(text)
    return unique_texts((text, *(_term_texts(term) if term else ())))


def _term_texts(term: Term) -> tuple[str, ...]:
    names = (term.name, *distinct_synonyms(term.name, term.synonyms, 3))
    return unique_texts((definition_sentence(term.name, term.definition), *names))
