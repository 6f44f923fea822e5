"""Memory-mapped store of passages with random access."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from okrcell.evidence import Evidence

BATCH_ROWS = 8192
"""Passages per record batch."""
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
"""Source, record and sha256 of the text; equal keys mean the same passage."""


def passage_key(passage: Evidence) -> PassageKey:
    """Return the key of a passage."""
    return passage.source, passage.record, passage.sha256


class PassageStore:
    """Passages in an uncompressed, memory-mapped Arrow file; a row is read without the others."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file of `write_passages` into memory.

        Raises
        ------
        ValueError, OSError
            If it is not such a file.
        """
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        if table.schema != SCHEMA:
            raise ValueError("its columns are not those of a passage store")
        table.validate(full=True)
        return cls(table)

    def __len__(self) -> int:
        return self._table.num_rows

    def __getitem__(self, index: int) -> Evidence:
        row = cast(dict[str, Any], self._table.slice(index, 1).drop_columns("sha256").to_pylist()[0])
        row |= {"terms": tuple(row["terms"]), "genes": tuple(row["genes"])}
        return Evidence(**row)

    def texts(self, start: int, stop: int | None = None) -> list[str]:
        """Return the texts of the passages from ``start`` up to ``stop`` (exclusive; default: the end)."""
        return cast(list[str], self._table["text"].slice(start, None if stop is None else stop - start).to_pylist())

    @property
    def batches(self) -> list[pa.RecordBatch]:
        """Stored rows as record batches of `BATCH_ROWS` rows, to be written again with new passages."""
        return self._table.combine_chunks().to_batches(max_chunksize=BATCH_ROWS)

    def keys(self) -> set[PassageKey]:
        """Return the keys of all passages."""
        columns = (self._table[name].to_pylist() for name in ("source", "record", "sha256"))
        return set(cast(Iterable[PassageKey], zip(*columns, strict=True)))

    def sources(self) -> tuple[str, ...]:
        """Return the names of all sources, sorted."""
        return tuple(sorted(self._source_codes[0]))

    def source_mask(self, sources: Iterable[str]) -> NDArray[np.bool_]:
        """Boolean mask (passage,) of the passages of these sources."""
        names, code = self._source_codes
        wanted_sources = set(sources)
        return (
            np.array([name in wanted_sources for name in names], dtype=bool)[code]
            if len(self)
            else np.zeros(0, dtype=bool)
        )

    def term_mask(self, term_ids: Iterable[str]) -> NDArray[np.bool_]:
        """Boolean mask (passage,) of the passages about any of these ontology terms."""
        slices, rows = self._term_rows
        mask = np.zeros(len(self), dtype=bool)
        for term_id in term_ids:
            if term_id in slices:
                mask[rows[slices[term_id]]] = True
        return mask

    @cached_property
    def _source_codes(self) -> tuple[list[str], NDArray[np.int64]]:
        return _dictionary_encode(self._table["source"])

    @cached_property
    def _term_rows(self) -> tuple[dict[str, slice], NDArray[np.int64]]:
        """Slice of each term in a list of row indices that is sorted by term, and this list."""
        lists = self._table["terms"].combine_chunks()
        per_row = np.diff(lists.offsets.to_numpy())
        names, code = _dictionary_encode(lists.flatten())
        rows = np.repeat(np.arange(len(self)), per_row)[np.argsort(code, kind="stable")]
        ends = np.cumsum(np.bincount(code, minlength=len(names))).tolist()
        return {name: slice(*span) for name, *span in zip(names, [0, *ends], ends, strict=False)}, rows


def write_passages(path: Path, existing: Iterable[pa.RecordBatch], passages: Iterable[Evidence]) -> None:
    """Write existing batches and new passages, in this order, to one Arrow file."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for batch in existing:
            writer.write_batch(batch)
        for rows in _row_batches(passages):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))


def _row_batches(passages: Iterable[Evidence]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for passage in passages:
        rows.append({**vars(passage), "sha256": passage.sha256})
        if len(rows) == BATCH_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _dictionary_encode(values: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Dictionary-encode: return the distinct values and the code of each value."""
    encoded = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = encoded.dictionary_encode()
    return cast(list[str], encoded.dictionary.to_pylist()), encoded.indices.to_numpy(zero_copy_only=False).astype(
        np.int64
    )
