"""Streaming reader of PubMed XML, without external entities."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from okrcell.errors import InputError
from okrcell.knowledge.sources.tables import opened_bytes

_TEXTS = {
    "PMID": "MedlineCitation",
    "ArticleTitle": "Article",
    "AbstractText": "Abstract",
    "CopyrightInformation": "Abstract",
    "Title": "Journal",
    "ISOAbbreviation": "Journal",
    "PublicationType": "PublicationTypeList",
}
"""Elements that are read, with their required parent element: references have PubMed ids too, and ``OtherAbstract``
contains translations."""
_PIECE = 1 << 16


@dataclass(frozen=True)
class Abstract:
    """Abstract of a paper."""

    record: str
    """ "PMID:123", or another id from the file."""
    title: str
    text: str
    journal: str
    """Name of the journal; empty if unknown."""
    licence: str
    """Licence stated in the record; empty if none is stated."""


def abstracts_in_xml(file: Path) -> Iterator[Abstract]:
    """Iterate over the articles with an abstract that are not retracted, in bounded memory.

    External entities are never opened.

    Raises
    ------
    InputError
        If the file is not well-formed XML, or declares entities (entity expansion attack).
    """
    reader = _Reader(file)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.say
    parser.EntityDeclHandler = reader.refuse_entity
    # Without a handler for external entities expat never opens one, including the DOCTYPE of PubMed.
    try:
        with opened_bytes(file) as opened:
            while piece := opened.read(_PIECE):
                parser.Parse(piece, False)
                yield from reader.taken()
        parser.Parse(b"", True)
    except InputError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two for unknown encodings
        raise InputError(f"{file} is not well-formed XML: {error}.") from None
    yield from reader.taken()
    if not reader.articles:
        raise InputError(f"{file} has no PubmedArticle element; it is not PubMed XML.")


class _Reader:
    def __init__(self, file: Path) -> None:
        self.articles = 0
        self._file = file
        self._ready: list[Abstract] = []
        self._path: list[str] = []
        self._parts: list[str] | None = None
        self._label = ""
        self._told: dict[str, list[str]] = {}

    def taken(self) -> list[Abstract]:
        ready, self._ready = self._ready, []
        return ready

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "MedlineCitation":
            self._told = {}
            self.articles += 1
        self._path.append(tag)
        if self._is_text(tag):
            self._parts = []
            self._label = attributes.get("Label", "")

    def say(self, text: str) -> None:
        if self._parts is not None:
            self._parts.append(text)

    def end(self, tag: str) -> None:
        if self._is_text(tag):
            text = " ".join("".join(self._parts or ()).split())
            self._parts = None
            if text:
                self._told.setdefault(tag, []).append(f"{self._label}: {text}" if self._label else text)
        self._path.pop()
        if tag == "MedlineCitation" and {"AbstractText", "PMID"} <= self._told.keys():
            if "Retracted Publication" in self._told.get("PublicationType", ()):
                return
            told = {name: texts[0] for name, texts in self._told.items()}
            text = " ".join(self._told["AbstractText"])
            journal = told.get("ISOAbbreviation") or told.get("Title", "")
            licence = told.get("CopyrightInformation", "")
            self._ready.append(Abstract(f"PMID:{told['PMID']}", told.get("ArticleTitle", ""), text, journal, licence))

    def refuse_entity(self, name: str, *_: object) -> None:
        raise InputError(
            f"{self._file} declares the XML entity '{name}', which PubMed files never do; the file is rejected."
        )

    def _is_text(self, tag: str) -> bool:
        return len(self._path) > 1 and _TEXTS.get(tag) == self._path[-2]
