"""What a sentence about biology rests on."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Aspect = Literal[
    "name", "definition", "synonym", "metadata", "passage", "description", "marker", "absent_marker", "gene", "function"
]
"""What of a record is quoted: an ontology term's ``name``, ``definition`` or ``synonym``; the user's own ``metadata``;
a ``passage`` of literature; an expert's long ``description`` of a cell type; the ``marker`` genes of a cell type, or
those it lacks (``absent_marker``); what a ``gene`` is; a ``function`` (a Gene Ontology term)."""


@dataclass(frozen=True)
class Evidence:
    """A piece of knowledge with its address, so that anyone can look it up again."""

    text: str
    """The words of the record."""
    source: str
    """Who says so: "Cell Ontology", "metadata", a journal."""
    record: str
    """Where it stands in the source: "CL:0000624", "profile.tissue", a PubMed id."""
    snapshot: str
    """The version of the source that was read; empty for the user's own metadata."""
    licence: str
    """The terms of the source; empty for the user's own metadata."""
    aspect: Aspect = "passage"
    """What of the record is quoted; a free text is a passage."""
    terms: tuple[str, ...] = ()
    """Ids of the ontology terms that it tells of; for an ontology's own record, the record itself."""
    genes: tuple[str, ...] = ()
    """Approved symbols of the genes that it tells of, the best supported first."""

    @property
    def sha256(self) -> str:
        """Fingerprint of the words, to see whether a source still says the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class KnowledgeSource(Protocol):
    """A place to ask what is known: an ontology, a marker table, a folder of abstracts.

    A source answers from what is on disk, always in the same order for the same question, and says nothing about a term
    it does not know rather than failing: a description is written from whatever the sources together can tell.
    """

    name: str
    """The key of the source in `okrcell.knowledge.sources.registry.SOURCES`."""

    @property
    def snapshot(self) -> str:
        """What is read, by release and fingerprint: equal snapshots give equal answers."""
        ...

    def about(self, term_id: str) -> Sequence[Evidence]:
        """Tell what is known of an ontology term ("CL:0000624") or a gene ("MS4A1"); empty when nothing is."""
        ...

    def passages(self) -> Iterator[Evidence]:
        """Go through all that is worth finding by its words, for an index."""
        ...
