"""Passages on disk, any of which can be read at once."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from okrcell.knowledge.evidence import Evidence

ROWS = 8192
"""Passages a record batch."""
SCHEMA = pa.schema(
    [
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("record", pa.string()),
        ("snapshot", pa.string()),
        ("licence", pa.string()),
        ("aspect", pa.string()),
        ("terms", pa.list_(pa.string())),
        ("genes", pa.list_(pa.string())),
        ("sha256", pa.string()),
    ]
)

PassageKey = tuple[str, str, str]
"""Source, record and sha256 of the words: where these are equal, it is the same passage."""


def key_of(passage: Evidence) -> PassageKey:
    """Tell which passage it is."""
    return passage.source, passage.record, passage.sha256


class PassageStore:
    """Passages in an uncompressed Arrow file, mapped rather than read: a row is found without touching the others."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map the file that `write_passages` wrote.

        Raises
        ------
        ValueError, OSError
            If it is no such file.
        """
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        if table.schema != SCHEMA:
            raise ValueError("it has other columns than a store of passages")
        table.validate(full=True)
        return cls(table)

    def __len__(self) -> int:
        return self._table.num_rows

    def __getitem__(self, place: int) -> Evidence:
        row = cast(dict[str, Any], self._table.slice(place, 1).drop_columns("sha256").to_pylist()[0])
        row |= {"terms": tuple(row["terms"]), "genes": tuple(row["genes"])}
        return Evidence(**row)

    def texts(self, start: int, stop: int | None = None) -> list[str]:
        """Give the words of the passages from ``start`` on, up to ``stop``."""
        return cast(list[str], self._table["text"].slice(start, None if stop is None else stop - start).to_pylist())

    @property
    def batches(self) -> list[pa.RecordBatch]:
        """The stored rows, to be written again beside new ones; what came in small portions comes out in large ones."""
        return self._table.combine_chunks().to_batches(max_chunksize=ROWS)

    def keys(self) -> set[PassageKey]:
        """Tell which passages are here."""
        columns = (self._table[name].to_pylist() for name in ("source", "record", "sha256"))
        return set(cast(Iterable[PassageKey], zip(*columns, strict=True)))

    def sources(self) -> tuple[str, ...]:
        """Name the sources that have passages here, sorted."""
        return tuple(sorted(self._sources[0]))

    def of(self, sources: Iterable[str]) -> NDArray[np.bool_]:
        """Mark the passages of these sources, (passage,)."""
        names, code = self._sources
        wanted = set(sources)
        return np.array([name in wanted for name in names], dtype=bool)[code] if len(self) else np.zeros(0, dtype=bool)

    def about(self, terms: Iterable[str]) -> NDArray[np.bool_]:
        """Mark the passages that tell of any of these ontology terms, (passage,)."""
        place, row = self._terms
        marked = np.zeros(len(self), dtype=bool)
        for term in terms:
            if term in place:
                marked[row[place[term]]] = True
        return marked

    @cached_property
    def _sources(self) -> tuple[list[str], NDArray[np.int64]]:
        return _coded(self._table["source"])

    @cached_property
    def _terms(self) -> tuple[dict[str, slice], NDArray[np.int64]]:
        """Rows sorted by the term they tell of, and where each term's rows begin and end."""
        lists = self._table["terms"].combine_chunks()
        per_row = np.diff(lists.offsets.to_numpy())
        names, code = _coded(lists.flatten())
        row = np.repeat(np.arange(len(self)), per_row)[np.argsort(code, kind="stable")]
        ends = np.cumsum(np.bincount(code, minlength=len(names))).tolist()
        return {name: slice(*span) for name, *span in zip(names, [0, *ends], ends, strict=False)}, row


def write_passages(path: Path, former: Iterable[pa.RecordBatch], passages: Iterable[Evidence]) -> None:
    """Write former batches and new passages, in this order, into one Arrow file."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for batch in former:
            writer.write_batch(batch)
        for rows in _in_rows(passages):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))


def _in_rows(passages: Iterable[Evidence]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for passage in passages:
        rows.append({**vars(passage), "sha256": passage.sha256})
        if len(rows) == ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _coded(values: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct values, and for each value which of them it is."""
    coded = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = coded.dictionary_encode()
    return cast(list[str], coded.dictionary.to_pylist()), coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
