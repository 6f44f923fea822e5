"""Write the files of a passage index and map them into memory."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from okrcell.storage import atomic_dir
from okrcell.evidence import Evidence
from okrcell.knowledge.search.index_folder import IndexManifest, write_manifest
from okrcell.knowledge.passage_store import PassageStore, write_passages
from okrcell.knowledge.bm25 import TOKENIZERS, BM25Search
from okrcell.knowledge.vectors import TextEmbedder

PASSAGES_FILE, VECTORS_FILE = "passages.arrow", "vectors.npy"
TEXT_CHUNK_SIZE = 1024
"""Number of texts that are embedded in one call."""

EmbeddingProgress = Callable[[int, int], None]
"""Callback with (new passages embedded, new passages in total)."""


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
