"""Long expert descriptions of cell types from the Cell Ontology."""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.ontology.ontology import ontology, prefix_of
from okrcell.knowledge.downloads import LocalFile
from okrcell.knowledge.sources.tables import open_binary


class _DescriptionRecord(NamedTuple):
    text: str
    references: str

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        values = (record["id"], record["extended_description"], record.get("extended_refs") or "")
        if not all(isinstance(value, str) for value in values):
            raise ValueError(f"id, description or references are not strings in the record of {values[0]!r:.60}")
        return cls(*values[1:])


class DescriptionSource:
    """Long descriptions of cell types, in paragraphs (a `KnowledgeSource`)."""

    name = "descriptions"

    def __init__(self, file: LocalFile) -> None:
        self._file = file

    @property
    def snapshot(self) -> str:
        """Release and sha256 of the file."""
        return self._file.version

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        """Return the long description of a cell type; empty if it has none."""
        if prefix_of(term_id) != "CL":
            return ()
        current_id = ontology("CL").current_id(term_id)
        text = self._texts.get(current_id or "")
        return (self._evidence(text, current_id),) if text and current_id else ()

    def passages(self) -> Iterator[Evidence]:
        """Iterate over the paragraphs of all descriptions, each preceded by the name of its cell type."""
        for cell_type, text in self._texts.items():
            name = ontology("CL").term(cell_type).name
            for paragraph in text.split("\n"):
                if paragraph.strip():
                    yield self._evidence(f"{name}: {paragraph.strip()}", cell_type)

    def references(self, term_id: str) -> tuple[str, ...]:
        """Return the references of a description, such as "DOI:10.1038/…"."""
        current_id = ontology("CL").current_id(term_id)
        return tuple(dict.fromkeys(self._references.get(current_id or "", "").split("|"))) if current_id else ()

    def _evidence(self, text: str, cell_type: str) -> Evidence:
        citation = ("Cell Ontology, extended description", cell_type, self._file.version, self._file.entry.licence)
        return Evidence(text, *citation, "description", (cell_type,))

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {term: _clean_paragraphs(record.text) for term, record in self._records.items()}

    @cached_property
    def _references(self) -> dict[str, str]:
        return {term: record.references for term, record in self._records.items()}

    @cached_property
    def _records(self) -> dict[str, _DescriptionRecord]:
        try:
            with open_binary(self._file.path) as file:
                records = json.load(file)
            described_records = [record for record in records if record.get("extended_description")]
            by_id = {record["id"]: _DescriptionRecord.from_record(record) for record in described_records}
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{self._file.path} is not a JSON list of ontology terms: {error}.") from None
        by_current_id = ((ontology("CL").current_id(term), record) for term, record in by_id.items())
        return {term: record for term, record in by_current_id if term}


def _clean_paragraphs(text: str) -> str:
    paragraphs = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(paragraph for paragraph in paragraphs if paragraph)
