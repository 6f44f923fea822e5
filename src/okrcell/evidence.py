"""Cited records: `Evidence`, the protocols of its sources and of text embedders, and sentences of its texts."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Aspect = Literal[
    "name", "definition", "synonym", "metadata", "passage", "description", "marker", "absent_marker", "gene", "function"
]
"""Part of a record that is quoted: an ontology term's ``name``, ``definition`` or ``synonym``; the user's ``metadata``;
a ``passage`` of literature; a long expert ``description`` of a cell type; the ``marker`` genes of a cell type, or those
it lacks (``absent_marker``); the summary or full name of a ``gene``; a ``function`` (a Gene Ontology term)."""
_SENTENCE_GAP = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_SENTENCE_GAP_OF_ABSTRACTS = re.compile(
    r"(?:(?<=[.!?])|(?<=[.!?][\"')\]])|(?<=[.!?][\"')\]]{2}))\s+(?=[\"'(\[]?[A-Z0-9])"
)
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|al|approx|resp|Figs?|No|St|Dr|spp?|ca)|\b[A-Z])\.$")


@runtime_checkable
class TextEmbedder(Protocol):
    """Protocol of a text embedder: maps texts to unit vectors whose dot products are cosine similarities.

    Attributes
    ----------
    name
        Identifier of the encoder. A passage index stores it and can only be searched with the same encoder.

    Notes
    -----
    The protocol keeps `okrcell.knowledge` free of torch; the implementations are in `okrcell.model`.

    Examples
    --------
    >>> class LetterEmbedder:
    ...     name = "letter-counts"
    ...
    ...     def embed_texts(self, texts):
    ...         counts = np.array([[text.lower().count(letter) for letter in "bclt"] for text in texts], dtype=np.float32)
    ...         return counts / np.linalg.norm(counts, axis=1, keepdims=True)
    >>> vectors = LetterEmbedder().embed_texts(["B cell", "T cell"])
    >>> vectors.shape
    (2, 4)
    >>> bool(np.allclose(np.linalg.norm(vectors, axis=1), 1))
    True
    """

    name: str

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts.

        Parameters
        ----------
        texts
            Texts, at least one.

        Returns
        -------
        float32 (text, dim), one row of unit length for each text.
        """
        ...


@dataclass(frozen=True)
class Evidence:
    """One cited record: a text with source, record id, version and licence, so that it can be looked up again.

    Evidence is immutable and hashable; two records with equal fields are equal.

    Parameters
    ----------
    text
        Text of the record.
    source
        Name of the source: ``"Cell Ontology"``, ``"metadata"``, a journal.
    record
        Id within the source: ``"CL:0000624"``, ``"profile.tissue"``, ``"PMID:12345"``.
    snapshot
        Version of the source that was read; empty for the user's metadata.
    licence
        Licence of the source; empty for the user's metadata.
    aspect
        Part of the record that is quoted, one of `Aspect`; ``"passage"`` for free text.
    terms
        Ids of the ontology terms that the text is about; for a record of an ontology, its own id.
    genes
        Approved symbols of the genes that the text is about, best supported first.

    Attributes
    ----------
    sha256
        SHA-256 of the UTF-8 encoded text, 64 hexadecimal digits.

    Notes
    -----
    A description cites evidence by source and record. ``sha256`` shows whether the source has changed since.

    Examples
    --------
    >>> evidence = Evidence(
    ...     text="CD4-positive, alpha-beta T cell",
    ...     source="Cell Ontology",
    ...     record="CL:0000624",
    ...     snapshot="2025-01-08",
    ...     licence="CC BY 4.0",
    ...     aspect="name",
    ...     terms=("CL:0000624",),
    ... )
    >>> evidence.genes
    ()
    >>> len(evidence.sha256)
    64
    """

    text: str
    source: str
    record: str
    snapshot: str
    licence: str
    aspect: Aspect = "passage"
    terms: tuple[str, ...] = ()
    genes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 of the text; it differs when the record has changed in the source."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class KnowledgeSource(Protocol):
    """Protocol of a knowledge source: an ontology, a marker table, a collection of abstracts.

    Attributes
    ----------
    name
        Key of the source in `okrcell.knowledge.registry.SOURCES`.
    snapshot
        Release and fingerprint of the files that are read. Equal snapshots give equal evidence.

    Notes
    -----
    An implementation reads local files only, returns evidence in a fixed order, and returns nothing for an unknown term
    instead of raising: a description combines the evidence of all sources.

    Examples
    --------
    >>> class Notes:
    ...     name = "notes"
    ...     snapshot = "notes, version 1"
    ...     _notes = {"CL:0000236": "B cells express CD19 and MS4A1."}
    ...
    ...     def evidence_for(self, term_id):
    ...         text = self._notes.get(term_id)
    ...         return (self._evidence(term_id, text),) if text else ()
    ...
    ...     def passages(self):
    ...         return (self._evidence(term_id, text) for term_id, text in self._notes.items())
    ...
    ...     def _evidence(self, term_id, text):
    ...         return Evidence(text, self.name, term_id, self.snapshot, "CC0 1.0", terms=(term_id,))
    >>> notes = Notes()
    >>> notes.evidence_for("CL:0000236")[0].text
    'B cells express CD19 and MS4A1.'
    >>> notes.evidence_for("CL:0000624")
    ()
    >>> sum(1 for _ in notes.passages())
    1
    """

    name: str

    @property
    def snapshot(self) -> str:
        """Release and fingerprint of the files that are read; equal snapshots give equal evidence."""
        ...

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        """Return the evidence about an ontology term or a gene.

        Parameters
        ----------
        term_id
            Id of an ontology term (``"CL:0000624"``) or approved symbol of a gene (``"MS4A1"``).

        Returns
        -------
        Evidence in a fixed order; empty for a term or gene that the source does not have.

        Raises
        ------
        InputError
            If a file of the source cannot be read.
        """
        ...

    def passages(self) -> Iterator[Evidence]:
        """Iterate over all texts that a passage index should contain, in a fixed order.

        Returns
        -------
        Iterator over evidence; empty for a source without free text.

        Raises
        ------
        InputError
            If a file of the source cannot be read.
        """
        ...


def split_sentences(text: str, *, abstract: bool = False) -> tuple[str, ...]:
    """Split a text into sentences; abbreviations such as "e.g." and initials do not end a sentence.

    Parameters
    ----------
    text
        The text.
    abstract
        Split as in abstracts, where a sentence may begin with a number ("12 patients were examined.") and end with a
        quotation mark or bracket. Definitions and summaries cite pages ("pg. 862") and quote inside sentences.
    """
    sentences: list[str] = []
    for part in (_SENTENCE_GAP_OF_ABSTRACTS if abstract else _SENTENCE_GAP).split(text.strip()):
        if sentences and _ABBREVIATION.search(sentences[-1]):
            sentences[-1] += f" {part}"
        elif part:
            sentences.append(part)
    return tuple(sentences)
