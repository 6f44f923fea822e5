"""A cited description of a cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from okrcell.knowledge.evidence import Evidence
from okrcell.texts.profile import CellProfile


@dataclass(frozen=True)
class Sentence:
    """One statement and what it rests on."""

    text: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Description:
    """What is said of every cell with one profile."""

    profile: CellProfile
    sentences: tuple[Sentence, ...]
    phrasings: tuple[str, ...]
    """Texts of the same truth, without repetition and never empty; the first is all sentences in a row."""


class Writer(Protocol):
    """Makes a description of a profile from what the knowledge sources tell.

    A writer says nothing that neither the profile nor the evidence holds, and each of its sentences names the evidence
    it rests on. The writer of this version fills a template; one that asks a language model fits the same place.
    """

    name: str
    """The key of the writer in `okrcell.texts.writers.WRITERS`."""

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe the profile; ``evidence`` is what the sources know of its terms, in the order of the sources."""
        ...
