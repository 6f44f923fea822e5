"""Streaming reader of PubMed XML, without external entities."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from okrcell.errors import InputError
from okrcell.knowledge.sources.tables import open_binary

_PARENT_ELEMENTS = {
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
_CHUNK_SIZE = 1 << 16


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


def read_pubmed_xml(file: Path) -> Iterator[Abstract]:
    """Iterate over the articles with an abstract that are not retracted, in bounded memory.

    External entities are never opened.

    Raises
    ------
    InputError
        If the file is not well-formed XML, or declares entities (entity expansion attack).
    """
    reader = _PubMedReader(file)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start_element
    parser.EndElementHandler = reader.end_element
    parser.CharacterDataHandler = reader.characters
    parser.EntityDeclHandler = reader.reject_entity
    # Without a handler for external entities expat never opens one, including the DOCTYPE of PubMed.
    try:
        with open_binary(file) as stream:
            while chunk := stream.read(_CHUNK_SIZE):
                parser.Parse(chunk, False)
                yield from reader.pop_abstracts()
        parser.Parse(b"", True)
    except InputError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two for unknown encodings
        raise InputError(f"{file} is not well-formed XML: {error}.") from None
    yield from reader.pop_abstracts()
    if not reader.n_articles:
        raise InputError(f"{file} has no PubmedArticle element; it is not PubMed XML.")


class _PubMedReader:
    def __init__(self, file: Path) -> None:
        self.n_articles = 0
        self._file = file
        self._abstracts: list[Abstract] = []
        self._path: list[str] = []
        self._parts: list[str] | None = None
        self._label = ""
        self._texts: dict[str, list[str]] = {}

    def pop_abstracts(self) -> list[Abstract]:
        abstracts, self._abstracts = self._abstracts, []
        return abstracts

    def start_element(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "MedlineCitation":
            self._texts = {}
            self.n_articles += 1
        self._path.append(tag)
        if self._is_text(tag):
            self._parts = []
            self._label = attributes.get("Label", "")

    def characters(self, text: str) -> None:
        if self._parts is not None:
            self._parts.append(text)

    def end_element(self, tag: str) -> None:
        if self._is_text(tag):
            text = " ".join("".join(self._parts or ()).split())
            self._parts = None
            if text:
                self._texts.setdefault(tag, []).append(f"{self._label}: {text}" if self._label else text)
        self._path.pop()
        if tag == "MedlineCitation" and {"AbstractText", "PMID"} <= self._texts.keys():
            if "Retracted Publication" in self._texts.get("PublicationType", ()):
                return
            fields = {name: texts[0] for name, texts in self._texts.items()}
            text = " ".join(self._texts["AbstractText"])
            journal = fields.get("ISOAbbreviation") or fields.get("Title", "")
            licence = fields.get("CopyrightInformation", "")
            self._abstracts.append(
                Abstract(f"PMID:{fields['PMID']}", fields.get("ArticleTitle", ""), text, journal, licence)
            )

    def reject_entity(self, name: str, *_: object) -> None:
        raise InputError(
            f"{self._file} declares the XML entity '{name}', which PubMed files never do; the file is rejected."
        )

    def _is_text(self, tag: str) -> bool:
        return len(self._path) > 1 and _PARENT_ELEMENTS.get(tag) == self._path[-2]
