"""Tables and cited records, converted for h5ad files, Markdown and JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from okrcell.evidence import Evidence

EVIDENCE_COLUMNS = ("number", "source", "record", "snapshot", "licence", "text", "sha256")
MAX_QUOTE_LENGTH = 240
"""Maximum number of characters of a record in Markdown; JSON has the whole text."""


def slot_name(group: str) -> str:
    """Return a key that an h5ad file accepts: without "/", which separates groups there, and not empty."""
    return group.replace("/", "|") or "(empty)"


def make_table(columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Build a DataFrame that an h5ad file can store, with the row numbers "1", "2" ... as index."""
    frame = pd.DataFrame(list(rows), columns=pd.Index(columns))
    # An h5ad file needs strings as index.
    frame.index = pd.Index([str(i) for i in range(1, len(frame) + 1)], dtype=object)
    return frame


def evidence_table(records: "Sequence[Evidence]") -> pd.DataFrame:
    """Build the table of cited records, numbered from 1 in their order, with source, snapshot, licence and sha256."""
    return make_table(
        EVIDENCE_COLUMNS,
        [
            (number, record.source, record.record, record.snapshot, record.licence, record.text, record.sha256)
            for number, record in enumerate(records, start=1)
        ],
    )


def render_citations(records: pd.DataFrame) -> Iterator[str]:
    """Format each record of an evidence table as a line of Markdown; long texts are cut."""
    for row in records.to_dict("records"):
        text = str(row["text"])
        quote = text if len(text) <= MAX_QUOTE_LENGTH else f"{text[:MAX_QUOTE_LENGTH].rsplit(' ', 1)[0]} …"
        source = ", ".join(filter(None, (str(row[key]) for key in ("source", "record", "snapshot", "licence"))))
        yield f"{row['number']}. {source}: “{quote}”"


def to_json(value: Any) -> Any:
    """Convert a value to JSON types: a DataFrame to a list of rows, an array to a list, NaN to None."""
    if isinstance(value, pd.DataFrame):
        return [to_json(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return None if isinstance(value, float) and pd.isna(value) else value
