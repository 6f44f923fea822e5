"""What a sentence about biology rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Aspect = Literal["name", "definition", "synonym", "metadata", "passage"]


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


class KnowledgeSource(Protocol):
    """A place to ask what is known: an ontology, a marker table, an index of literature.

    A source answers from what is on disk, always in the same order for the same question, and says nothing about a term
    it does not know rather than failing: a description is written from whatever the sources together can tell.
    """

    name: str
    """The name under which the source appears in `Evidence.source`."""

    def about(self, term_id: str) -> Sequence[Evidence]:
        """Tell what is known of an ontology term such as "CL:0000624"; empty when nothing is."""
        ...
