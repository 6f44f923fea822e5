"""Abstracts of papers, from a file or a folder."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.knowledge.downloads import cached_fingerprint
from okrcell.knowledge.sources.named_types import find_cell_types
from okrcell.knowledge.sources.passages import PassageSettings, split_passages
from okrcell.knowledge.sources.pubmed import Abstract, read_pubmed_xml
from okrcell.knowledge.sources.tables import open_binary

DEFAULT_LICENCE = "abstract (c) its publisher"
EXTENSIONS = (".xml", ".jsonl", ".json")
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
