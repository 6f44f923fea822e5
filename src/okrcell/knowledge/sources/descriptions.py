"""Long expert descriptions of cell types from the Cell Ontology."""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

from okrcell.errors import InputError
from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.ontology import ontology, prefix_of
from okrcell.knowledge.snapshots import HeldFile
from okrcell.knowledge.sources.tables import opened_bytes


class _Described(NamedTuple):
    text: str
    references: str

    @classmethod
    def of(cls, record: dict[str, Any]) -> Self:
        told = (record["id"], record["extended_description"], record.get("extended_refs") or "")
        if not all(isinstance(part, str) for part in told):
            raise ValueError(f"id, description or references are not strings in the record of {told[0]!r:.60}")
        return cls(*told[1:])


class DescriptionSource:
    """Long descriptions of cell types, in paragraphs (a `KnowledgeSource`)."""

    name = "descriptions"

    def __init__(self, file: HeldFile) -> None:
        self._file = file

    @property
    def snapshot(self) -> str:
        """Release and sha256 of the file."""
        return self._file.version

    def about(self, term_id: str) -> Sequence[Evidence]:
        """Return the long description of a cell type; empty if it has none."""
        if prefix_of(term_id) != "CL":
            return ()
        current = ontology("CL").current(term_id)
        text = self._texts.get(current or "")
        return (self._quote(text, current),) if text and current else ()

    def passages(self) -> Iterator[Evidence]:
        """Iterate over the paragraphs of all descriptions, each preceded by the name of its cell type."""
        for cell_type, text in self._texts.items():
            name = ontology("CL").term(cell_type).name
            for paragraph in text.split("\n"):
                if paragraph.strip():
                    yield self._quote(f"{name}: {paragraph.strip()}", cell_type)

    def references(self, term_id: str) -> tuple[str, ...]:
        """Return the references of a description, such as "DOI:10.1038/…"."""
        current = ontology("CL").current(term_id)
        return tuple(dict.fromkeys(self._references.get(current or "", "").split("|"))) if current else ()

    def _quote(self, text: str, cell_type: str) -> Evidence:
        address = ("Cell Ontology, extended description", cell_type, self._file.version, self._file.snapshot.licence)
        return Evidence(text, *address, "description", (cell_type,))

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {term: _tidy(record.text) for term, record in self._records.items()}

    @cached_property
    def _references(self) -> dict[str, str]:
        return {term: record.references for term, record in self._records.items()}

    @cached_property
    def _records(self) -> dict[str, _Described]:
        try:
            with opened_bytes(self._file.path) as file:
                records = json.load(file)
            told = [record for record in records if record.get("extended_description")]
            described = {record["id"]: _Described.of(record) for record in told}
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{self._file.path} is not a JSON list of ontology terms: {error}.") from None
        current = ((ontology("CL").current(term), record) for term, record in described.items())
        return {term: record for term, record in current if term}


def _tidy(text: str) -> str:
    paragraphs = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(paragraph for paragraph in paragraphs if paragraph)
