"""What was noticed while a file was read, kept in ``uns["okrcell"]["read"]`` for the provenance records of all verbs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData

RECORDS_KEY = "okrcell"
READ_KEY = "read"


def add_read_findings(adata: "AnnData", findings: Sequence[str]) -> "AnnData":
    """Add sentences on how the file was read to ``uns["okrcell"]["read"]["findings"]``; nothing changes if there are none."""
    records = adata.uns.get(RECORDS_KEY, {})
    if findings and isinstance(records, Mapping):
        sentences = list(dict.fromkeys([*read_findings(adata), *findings]))
        adata.uns[RECORDS_KEY] = {**records, READ_KEY: {"findings": sentences}}
    return adata


def read_findings(adata: "AnnData") -> list[str]:
    """Sentences on how the file was read; empty if nothing was noticed."""
    records = adata.uns.get(RECORDS_KEY)
    record = records.get(READ_KEY) if isinstance(records, Mapping) else None
    sentences = record.get("findings") if isinstance(record, Mapping) else None
    return [] if sentences is None or isinstance(sentences, str) else [str(sentence) for sentence in sentences]
