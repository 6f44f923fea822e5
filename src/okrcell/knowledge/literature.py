"""Abstracts of papers from PubMed XML or JSON, split into passages, with the cell types that they name."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from xml.parsers import expat

from pydantic import Field

from okrcell.errors import InputError
from okrcell.evidence import Evidence, split_sentences
from okrcell.knowledge.downloads import cached_fingerprint
from okrcell.knowledge.markers import open_binary
from okrcell.ontology.ontology import normalize_name, ontology
from okrcell.settings import Settings

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
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MIN_NAME_LENGTH = 5
"""Minimum number of characters of a name; shorter ones ("B 1", "TEC") are ambiguous."""
DEFAULT_LICENCE = "abstract (c) its publisher"
EXTENSIONS = (".xml", ".jsonl", ".json")
"""Supported file name extensions, each also with .gz."""


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


class PassageSettings(Settings):
    """Length and overlap of passages."""

    length: Annotated[int, Field(ge=1)] = 500
    """Maximum number of tokens (words and punctuation marks) of a passage; a longer sentence is a passage by itself."""
    overlap: Annotated[int, Field(ge=0)] = 50
    """Maximum number of tokens at the end of a passage that the next one repeats, in whole sentences."""


def split_passages(text: str, settings: PassageSettings) -> tuple[str, ...]:
    """Split a text into overlapping passages of whole sentences."""
    sentences = [
        (sentence, count_tokens(sentence)) for sentence in split_sentences(" ".join(text.split()), abstract=True)
    ]
    passages: list[str] = []
    start = 0
    while start < len(sentences):
        end, length = start, 0
        while end < len(sentences) and (end == start or length + sentences[end][1] <= settings.length):
            length += sentences[end][1]
            end += 1
        passages.append(" ".join(sentence for sentence, _ in sentences[start:end]))
        if end == len(sentences):
            break
        # The next passage repeats the last sentences, but must end after this one.
        next_start, n_repeated = end, 0
        while next_start - 1 > start and n_repeated + sentences[next_start - 1][1] <= settings.overlap:
            next_start -= 1
            n_repeated += sentences[next_start][1]
        start = next_start if n_repeated + sentences[end][1] <= settings.length else end
    return tuple(passages)


def count_tokens(text: str) -> int:
    """Return the number of words and punctuation marks."""
    return len(_TOKEN.findall(text))


def find_cell_types(text: str) -> tuple[str, ...]:
    """Return the ids of the cell types whose name or synonym occurs in a text, in order of first mention.

    The longest name is matched: "memory B cell" is a memory B cell, not also a B cell.
    """
    names, max_words = _cell_type_names()
    words = normalize_name(text).split()
    term_ids: dict[str, None] = {}
    start = 0
    while start < len(words):
        step = 1
        for length in range(min(max_words.get(words[start], 0), len(words) - start), 0, -1):
            term = names.get(" ".join(words[start : start + length]))
            if term is not None:
                term_ids[term] = None
                step = length
                break
        start += step
    return tuple(term_ids)


@cache
def _cell_type_names() -> tuple[dict[str, str], dict[str, int]]:
    cell_ontology = ontology("CL")
    terms = [
        cell_ontology.term(term)
        for term in cell_ontology.term_ids()
        if not cell_ontology.term(term).name.endswith("(Mmus)")
    ]
    ids_by_name = {normalize_name(term.name): term.id for term in terms}
    synonyms: dict[str, set[str]] = {}
    for term in terms:
        for name in map(normalize_name, term.synonyms):
            synonyms.setdefault(name, set()).add(term.id)
    ids_by_name = {name: min(ids) for name, ids in synonyms.items() if len(ids) == 1} | ids_by_name
    # The root term "cell" is uninformative.
    ids_by_name = {
        name: term for name, term in ids_by_name.items() if len(name) >= _MIN_NAME_LENGTH and term != "CL:0000000"
    }
    max_words: dict[str, int] = {}
    for name in ids_by_name:
        first, *rest = name.split()
        max_words[first] = max(max_words.get(first, 0), 1 + len(rest))
    return ids_by_name, max_words


class LiteratureSource:
    """Abstracts of papers, in passages (a `KnowledgeSource`).

    Abstracts are found through an index of `passages`, not by term.

    Parameters
    ----------
    path
        A file, or a folder of files: PubMed XML, JSON lines or a JSON list, each plain or gzip. A JSON record has
        "pmid" (or "id"), "title" and "abstract" (or "text"), and optionally "journal", "year" and "licence".
    snapshot
        Version of the corpus; by default name and sha256 of each file.
    licence
        Licence of texts that do not state their own.
    settings
        Length and overlap of the passages.

    Raises
    ------
    InputError
        If there is no such file, or no file with a supported extension in the folder.
    """

    name = "literature"

    def __init__(
        self,
        path: Path,
        snapshot: str | None = None,
        licence: str = DEFAULT_LICENCE,
        settings: PassageSettings | None = None,
    ) -> None:
        self._path = path
        self._files = _list_files(path)
        self._user_snapshot = snapshot
        self._licence = licence
        self._settings = settings or PassageSettings()

    @property
    def snapshot(self) -> str:
        """Versions of the files, and length and overlap of the passages."""
        splitting = f"cut at {self._settings.length} tokens, {self._settings.overlap} shared"
        return "; ".join([*(self._user_snapshot or self._file_version(file) for file in self._files), splitting])

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        """Return nothing: abstracts are searched through an index of `passages`."""
        return ()

    def passages(self) -> Iterator[Evidence]:
        """Iterate over the passages of all abstracts, each preceded by its title, with the cell types that it names.

        An abstract with a repeated id is skipped.

        Raises
        ------
        InputError
            If a file cannot be read, or no file contains an abstract.
        """
        empty = True
        seen_ids: set[str] = set()
        for file in self._files:
            snapshot = self._user_snapshot or self._file_version(file)
            for abstract in _read_abstracts(file):
                if abstract.record not in seen_ids:
                    seen_ids.add(abstract.record)
                    for text in split_passages(abstract.text, self._settings):
                        titled_text = f"{abstract.title} {text}" if abstract.title else text
                        citation = (abstract.journal or "PubMed", abstract.record, snapshot)
                        empty = False
                        yield Evidence(
                            titled_text,
                            *citation,
                            abstract.licence or self._licence,
                            "passage",
                            find_cell_types(titled_text),
                        )
        if empty:
            raise InputError(f"The literature at {self._path} contains no abstract with text. Check the path.")

    @staticmethod
    def _file_version(file: Path) -> str:
        return f"{file.name}, sha256 {cached_fingerprint(file)[:12]}"


def _list_files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise InputError(f"There is no literature at {path}. Pass a file or a folder of {', '.join(EXTENSIONS)} files.")
    files = tuple(sorted(file for file in path.iterdir() if _extension(file)))
    if not files:
        raise InputError(
            f"The folder {path} has no literature: no file name ends in {', '.join(EXTENSIONS)}, plain or .gz."
        )
    return files


def _extension(file: Path) -> str | None:
    name = file.name.removesuffix(".gz")
    return next((extension for extension in EXTENSIONS if name.endswith(extension)), None) if file.is_file() else None


def _read_abstracts(file: Path) -> Iterator[Abstract]:
    extension = _extension(file)
    if extension is None:
        raise InputError(f"{file} is not literature: its name must end in {', '.join(EXTENSIONS)}, plain or .gz.")
    return read_pubmed_xml(file) if extension == ".xml" else _read_json(file, is_jsonl=extension == ".jsonl")


def _read_json(file: Path, is_jsonl: bool) -> Iterator[Abstract]:
    with open_binary(file) as stream:
        if is_jsonl:
            for i, line in enumerate(stream, 1):
                if line.strip():
                    yield from _abstract_from_record(_parse_json(line, f"Line {i} of {file}"), f"Line {i} of {file}")
            return
        records = _parse_json(stream.read(), str(file))
    if not isinstance(records, list):
        raise InputError(f"{file} must contain a JSON list of abstracts, but contains a {type(records).__name__}.")
    for i, record in enumerate(records, 1):
        yield from _abstract_from_record(record, f"Record {i} of {file}")


def _parse_json(text: bytes, location: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{location} is not valid JSON: {error}.") from None


def _abstract_from_record(record: Any, location: str) -> Iterator[Abstract]:
    if not isinstance(record, dict):
        raise InputError(f"{location} must be a JSON object with pmid, title and abstract.")
    fields = {str(key): str(value) for key, value in record.items() if isinstance(value, (str, int, float))}
    pmid, record_id = fields.get("pmid") or fields.get("PMID"), fields.get("id")
    if not (pmid or record_id):
        raise InputError(f"{location} has no pmid and no id; its keys are: {', '.join(map(str, record))[:200]}.")
    text = fields.get("abstract") or fields.get("text", "")
    if text:
        # PubMedQA stores the end of an abstract as "conclusion", and a title that is a question as "question".
        full_text = " ".join(part for part in (text, fields.get("conclusion", "")) if part)
        title = fields.get("title") or fields.get("question", "")
        yield Abstract(
            f"PMID:{pmid}" if pmid else str(record_id),
            title,
            full_text,
            fields.get("journal", ""),
            fields.get("licence", ""),
        )
