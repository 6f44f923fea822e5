"""Tables and cited records, converted for h5ad files, Markdown and JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from okrcell.knowledge.evidence import Evidence

RECORD = ("number", "source", "record", "snapshot", "licence", "text", "sha256")
LONGEST_QUOTE = 240
"""Maximum number of characters of a record in Markdown; JSON has the whole text."""


def slot_name(group: str) -> str:
    """Return a key that an h5ad file accepts: without "/", which separates groups there, and not empty."""
    return group.replace("/", "|") or "(empty)"


def table(columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Build a DataFrame that an h5ad file can store, with the row numbers "1", "2" ... as index."""
    made = pd.DataFrame(list(rows), columns=pd.Index(columns))
    # An h5ad file needs strings as index.
    made.index = pd.Index([str(place) for place in range(1, len(made) + 1)], dtype=object)
    return made


def table_of_records(records: "Sequence[Evidence]") -> pd.DataFrame:
    """Build the table of cited records, numbered from 1 in their order, with source, snapshot, licence and sha256."""
    return table(
        RECORD,
        [
            (number, piece.source, piece.record, piece.snapshot, piece.licence, piece.text, piece.sha256)
            for number, piece in enumerate(records, start=1)
        ],
    )


def quoted(records: pd.DataFrame) -> Iterator[str]:
    """Format each record of an evidence table as a line of Markdown; long texts are cut."""
    for row in records.to_dict("records"):
        text = str(row["text"])
        quote = text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE].rsplit(' ', 1)[0]} …"
        where = ", ".join(filter(None, (str(row[key]) for key in ("source", "record", "snapshot", "licence"))))
        yield f"{row['number']}. {where}: “{quote}”"


def plain(value: Any) -> Any:
    """Convert a value to JSON types: a DataFrame to a list of rows, an array to a list, NaN to None."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and pd.isna(value) else value
