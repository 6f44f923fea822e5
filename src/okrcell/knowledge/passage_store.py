"""Memory-mapped passages, and the files and manifest of a passage index."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from okrcell.errors import InputError
from okrcell.evidence import Evidence, TextEmbedder
from okrcell.knowledge.bm25 import TOKENIZERS, BM25Search
from okrcell.provenance import fingerprint, write_json
from okrcell.settings import Settings
from okrcell.storage import atomic_dir, recover_dir

MANIFEST_FILE = "index.json"
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
PASSAGES_FILE, VECTORS_FILE = "passages.arrow", "vectors.npy"
TEXT_CHUNK_SIZE = 1024
"""Number of texts that are embedded in one call."""
EmbeddingProgress = Callable[[int, int], None]
"""Callback with (new passages embedded, new passages in total)."""


class ManifestEntry(Settings):
    """Size and sha256 of a file of the index."""

    bytes: int
    sha256: str


class IndexManifest(Settings):
    """Content of an index, with the sha256 of every file."""

    format: Literal["okrcell passages 1"] = "okrcell passages 1"
    passages: int
    embedder: str | None
    """Name of the encoder of the vectors; None without vectors."""
    dim: int
    """Dimension of the vectors; 0 without vectors."""
    files: dict[str, ManifestEntry]


def write_manifest(folder: Path, passages: int, embedder: str | None, dim: int) -> None:
    """Write the manifest of ``folder``; the last step of writing an index."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {
        path.relative_to(folder).as_posix(): ManifestEntry(bytes=path.stat().st_size, sha256=fingerprint(path))
        for path in paths
    }
    manifest = IndexManifest(passages=passages, embedder=embedder, dim=dim, files=files)
    write_json(folder / MANIFEST_FILE, manifest.model_dump())


def read_manifest(folder: Path, *, check: bool) -> IndexManifest:
    """Read the manifest of ``folder`` and check all files: sizes always, sha256 if ``check`` is true.

    Raises
    ------
    InputError
        If there is no index, or it is damaged or has another format version.
    """
    recover_dir(folder)
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise InputError(
            f"There is no index of passages in {folder}: {MANIFEST_FILE} is missing. Build an index first."
        )
    try:
        manifest = IndexManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"]))
        raise damaged_index_error(
            folder, f"{MANIFEST_FILE} cannot be read ({location or 'JSON'}: {first['msg']})"
        ) from None
    except OSError as error:
        raise damaged_index_error(folder, f"{MANIFEST_FILE} cannot be read ({error.strerror})") from None
    for name, file in manifest.files.items():
        file_path = folder / name
        if not file_path.is_file():
            raise damaged_index_error(folder, f"{name} is missing")
        if file_path.stat().st_size != file.bytes:
            raise damaged_index_error(folder, f"{name} has {file_path.stat().st_size:,} bytes, not {file.bytes:,}")
        if check and fingerprint(file_path) != file.sha256:
            raise damaged_index_error(folder, f"{name} has changed (its sha256 differs)")
    return manifest


def damaged_index_error(folder: Path, problem: str) -> InputError:
    """Return the error for a damaged index."""
    return InputError(f"The index of passages in {folder} is damaged: {problem}. Build it again.")


def check_replaceable(folder: Path) -> None:
    """Check that ``folder`` is missing, empty or an index, so that it can be replaced.

    Raises
    ------
    InputError
        If it contains anything else.
    """
    recover_dir(folder)
    if (
        folder.exists()
        and not (folder / MANIFEST_FILE).is_file()
        and not (folder.is_dir() and not any(folder.iterdir()))
    ):
        raise InputError(
            f"{folder} exists and is not an index of passages; it is left unchanged. Choose another folder."
        )


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


class MappedIndex(NamedTuple):
    """Memory-mapped files of an index; row i of each belongs to passage i."""

    passages: PassageStore
    searches: dict[str, BM25Search]
    """One entry for each key of `TOKENIZERS`."""
    vectors: NDArray[np.float32] | None
    """(passage, dim), rows of unit length; None if the index was built without an encoder."""


def write_index(
    folder: Path,
    existing: MappedIndex | None,
    new_passages: Iterable[Evidence],
    embedder: TextEmbedder | None,
    progress: EmbeddingProgress | None,
) -> int:
    """Write existing passages with their vectors, then ``new_passages`` ones, atomically; return the number of new passages.

    New passages are streamed to disk and their texts read back from there, so they need not fit into memory.
    """
    with atomic_dir(folder) as draft:
        write_passages(draft / PASSAGES_FILE, existing.passages.batches if existing else (), new_passages)
        texts = _NewTexts(PassageStore.open(draft / PASSAGES_FILE), len(existing.passages) if existing else 0)
        dim = 0
        if embedder is not None:
            dim = _write_vectors(
                draft / VECTORS_FILE, existing.vectors if existing else None, texts, embedder, progress
            )
        for method in TOKENIZERS:
            BM25Search.build(method, texts, existing.searches[method] if existing else None).save(draft / method)
        n_added = len(texts)
        write_manifest(draft, texts.n_existing + n_added, embedder.name if embedder else None, dim)
        del texts  # some systems cannot move a file that is mapped
    return n_added


class _NewTexts:
    """Texts of the stored passages after the first ``n_existing`` ones, read in chunks."""

    def __init__(self, passages: PassageStore, n_existing: int) -> None:
        self._passages, self.n_existing = passages, n_existing

    def __len__(self) -> int:
        return len(self._passages) - self.n_existing

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), TEXT_CHUNK_SIZE):
            yield from self.chunk(start)

    def chunk(self, start: int) -> list[str]:
        """Return the next `TEXT_CHUNK_SIZE` texts."""
        first = self.n_existing + start
        return self._passages.texts(first, min(first + TEXT_CHUNK_SIZE, self.n_existing + len(self)))


def map_index(folder: Path, manifest: IndexManifest) -> MappedIndex:
    """Map the files of `write_index` into memory.

    Raises
    ------
    ValueError, OSError, KeyError, TypeError, AttributeError
        If a file does not match the manifest.
    """
    passages = PassageStore.open(folder / PASSAGES_FILE)
    if len(passages) != manifest.passages:
        raise ValueError(f"{PASSAGES_FILE} holds {len(passages):,} passages, not {manifest.passages:,}")
    searches = {method: BM25Search.open(method, folder / method, len(passages)) for method in TOKENIZERS}
    if manifest.embedder is None:
        return MappedIndex(passages, searches, None)
    vectors = np.load(folder / VECTORS_FILE, mmap_mode="r", allow_pickle=False)
    if vectors.shape != (len(passages), manifest.dim) or vectors.dtype != np.float32:
        raise ValueError(f"{VECTORS_FILE} holds {vectors.dtype} {vectors.shape}")
    return MappedIndex(passages, searches, np.asarray(vectors))


def _write_vectors(
    path: Path,
    existing: NDArray[np.float32] | None,
    texts: _NewTexts,
    embedder: TextEmbedder,
    progress: EmbeddingProgress | None,
) -> int:
    """Write existing vectors and those of ``texts``, in chunks; return the dimension."""
    vectors, n_existing = None, 0 if existing is None else len(existing)
    for start in range(0, len(texts), TEXT_CHUNK_SIZE):
        chunk_vectors = embedder.embed_texts(texts.chunk(start))
        if vectors is None:
            shape = (n_existing + len(texts), chunk_vectors.shape[1])
            vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            if existing is not None:
                vectors[:n_existing] = existing
        vectors[n_existing + start : n_existing + start + len(chunk_vectors)] = chunk_vectors
        if progress is not None:
            progress(start + len(chunk_vectors), len(texts))
    if vectors is None:
        return 0
    vectors.flush()
    return vectors.shape[1]
