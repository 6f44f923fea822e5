"""A cited description of a cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from okrcell.knowledge.evidence import Evidence
from okrcell.texts.profile import CellProfile


@dataclass(frozen=True)
class Sentence:
    """One statement and what it rests on."""

    text: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Dropped:
    """A statement that a writer made and the screening did not let pass."""

    text: str
    reason: str


@dataclass(frozen=True)
class Description:
    """What is said of every cell with one profile."""

    profile: CellProfile
    sentences: tuple[Sentence, ...]
    phrasings: tuple[str, ...]
    """Texts of the same truth, without repetition; the first is all sentences in a row. Empty only where ``outcome`` is
    "dropped"."""
    writer: str = "template"
    """Who wrote it: the `Writer.name`."""
    prompt: str = ""
    """Version of the prompt and name of the language model; empty for a writer without one."""
    original: tuple[str, ...] = ()
    """Phrasings of the original text (metadata and ontology), where the description says more than that."""
    dropped: tuple[Dropped, ...] = ()
    """What was written and did not pass the screening, with the reasons."""
    similarity: float | None = None
    """Cosine of the written text to the original one (E1), in [-1, 1]; None where it was not measured."""
    outcome: Literal["written", "original", "failed", "dropped"] = "written"
    """original: the written text was refused, and the original one stands in its place. failed: none could be had this
    time, and the original one stands in; a later run asks again. dropped: refused, and nothing stands in its place."""
    remark: str = ""
    """Why this is no written text; empty otherwise."""


class Writer(Protocol):
    """Makes a description of a profile from what the knowledge sources tell.

    A writer says nothing that neither the profile nor the evidence holds, and each of its sentences names the evidence
    it rests on.
    """

    name: str
    """What `okrcell.texts.enrich.EnrichSettings.writer` calls it."""

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe the profile; ``evidence`` is what the sources know of its terms, in the order of the sources."""
        ...
