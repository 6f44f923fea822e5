"""Tables and cited records: as an h5ad file holds them, as a page quotes them, as JSON has them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from okrcell.knowledge.evidence import Evidence

RECORD = ("number", "source", "record", "snapshot", "licence", "text", "sha256")
LONGEST_QUOTE = 240
"""Characters of a record that a page quotes; the JSON has all."""


def slot_name(group: str) -> str:
    """Name a slot of an h5ad file, which takes "/" for a folder and needs a name."""
    return group.replace("/", "|") or "(empty)"


def table(columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Make a table that an h5ad file can hold."""
    made = pd.DataFrame(list(rows), columns=pd.Index(columns))
    # An h5ad file needs words as the names of rows.
    made.index = pd.Index([str(place) for place in range(1, len(made) + 1)], dtype=object)
    return made


def table_of_records(records: "Sequence[Evidence]") -> pd.DataFrame:
    """Number records from 1, in their order, with all that it takes to find them again."""
    return table(
        RECORD,
        [
            (number, piece.source, piece.record, piece.snapshot, piece.licence, piece.text, piece.sha256)
            for number, piece in enumerate(records, start=1)
        ],
    )


def quoted(records: pd.DataFrame) -> Iterator[str]:
    """Quote each record of such a table in a line of Markdown, cut where it is long."""
    for row in records.to_dict("records"):
        text = str(row["text"])
        quote = text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE].rsplit(' ', 1)[0]} …"
        where = ", ".join(filter(None, (str(row[key]) for key in ("source", "record", "snapshot", "licence"))))
        yield f"{row['number']}. {where}: “{quote}”"


def plain(value: Any) -> Any:
    """Give a value the form that JSON has for it: tables as lists of rows, None for a number that is not there."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and pd.isna(value) else value
