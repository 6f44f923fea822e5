"""Abstracts of papers, from a file or a folder."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from okrcell.errors import InputError
from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.snapshots import current_fingerprint
from okrcell.knowledge.sources.named_types import named_types
from okrcell.knowledge.sources.passages import PassageSettings, passages_of
from okrcell.knowledge.sources.pubmed import Abstract, abstracts_in_xml
from okrcell.knowledge.sources.tables import opened_bytes

LICENCE = "abstract (c) its publisher"
ENDINGS = (".xml", ".jsonl", ".json")
"""Supported file name extensions, each also with .gz."""


class LiteratureSource:
    """Abstracts of papers, in passages (a `KnowledgeSource`).

    Abstracts are found through an index of `passages`, not by term.

    Parameters
    ----------
    place
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
        self, place: Path, snapshot: str | None = None, licence: str = LICENCE, settings: PassageSettings | None = None
    ) -> None:
        self._place = place
        self._files = _files_of(place)
        self._stated = snapshot
        self._licence = licence
        self._settings = settings or PassageSettings()

    @property
    def snapshot(self) -> str:
        """Versions of the files, and length and overlap of the passages."""
        cut = f"cut at {self._settings.length} tokens, {self._settings.overlap} shared"
        return "; ".join([*(self._stated or self._version(file) for file in self._files), cut])

    def about(self, term_id: str) -> Sequence[Evidence]:
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
        seen: set[str] = set()
        for file in self._files:
            snapshot = self._stated or self._version(file)
            for abstract in _abstracts(file):
                if abstract.record not in seen:
                    seen.add(abstract.record)
                    for text in passages_of(abstract.text, self._settings):
                        led = f"{abstract.title} {text}" if abstract.title else text
                        address = (abstract.journal or "PubMed", abstract.record, snapshot)
                        empty = False
                        yield Evidence(led, *address, abstract.licence or self._licence, "passage", named_types(led))
        if empty:
            raise InputError(f"The literature at {self._place} contains no abstract with text. Check the path.")

    @staticmethod
    def _version(file: Path) -> str:
        return f"{file.name}, sha256 {current_fingerprint(file)[:12]}"


def _files_of(place: Path) -> tuple[Path, ...]:
    if place.is_file():
        return (place,)
    if not place.is_dir():
        raise InputError(f"There is no literature at {place}. Pass a file or a folder of {', '.join(ENDINGS)} files.")
    files = tuple(sorted(file for file in place.iterdir() if _ending(file)))
    if not files:
        raise InputError(
            f"The folder {place} has no literature: no file name ends in {', '.join(ENDINGS)}, plain or .gz."
        )
    return files


def _ending(file: Path) -> str | None:
    name = file.name.removesuffix(".gz")
    return next((ending for ending in ENDINGS if name.endswith(ending)), None) if file.is_file() else None


def _abstracts(file: Path) -> Iterator[Abstract]:
    ending = _ending(file)
    if ending is None:
        raise InputError(f"{file} is not literature: its name must end in {', '.join(ENDINGS)}, plain or .gz.")
    return abstracts_in_xml(file) if ending == ".xml" else _in_json(file, lines=ending == ".jsonl")


def _in_json(file: Path, lines: bool) -> Iterator[Abstract]:
    with opened_bytes(file) as opened:
        if lines:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield from _of_record(_parsed(line, f"Line {number} of {file}"), f"Line {number} of {file}")
            return
        records = _parsed(opened.read(), str(file))
    if not isinstance(records, list):
        raise InputError(f"{file} must contain a JSON list of abstracts, but contains a {type(records).__name__}.")
    for number, record in enumerate(records, 1):
        yield from _of_record(record, f"Record {number} of {file}")


def _parsed(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON: {error}.") from None


def _of_record(record: Any, where: str) -> Iterator[Abstract]:
    if not isinstance(record, dict):
        raise InputError(f"{where} must be a JSON object with pmid, title and abstract.")
    told = {str(key): str(value) for key, value in record.items() if isinstance(value, (str, int, float))}
    pmid, other = told.get("pmid") or told.get("PMID"), told.get("id")
    if not (pmid or other):
        raise InputError(f"{where} has no pmid and no id; its keys are: {', '.join(map(str, record))[:200]}.")
    text = told.get("abstract") or told.get("text", "")
    if text:
        # PubMedQA stores the end of an abstract as "conclusion", and a title that is a question as "question".
        whole = " ".join(part for part in (text, told.get("conclusion", "")) if part)
        title = told.get("title") or told.get("question", "")
        yield Abstract(
            f"PMID:{pmid}" if pmid else str(other), title, whole, told.get("journal", ""), told.get("licence", "")
        )
