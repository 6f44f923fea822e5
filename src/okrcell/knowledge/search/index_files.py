"""Write the files of a passage index and map them into memory."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from okrcell.files import whole_folder
from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.search.index_folder import IndexManifest, write_manifest
from okrcell.knowledge.search.passage_store import PassageStore, write_passages
from okrcell.knowledge.search.word_search import SPLITS, WordSearch
from okrcell.knowledge.vectors import TextEmbedder

PASSAGES, VECTORS = "passages.arrow", "vectors.npy"
TEXTS_AT_ONCE = 1024
"""Number of texts that are embedded in one call."""

Progress = Callable[[int, int], None]
"""Callback with (new passages embedded, new passages in total)."""


class IndexFiles(NamedTuple):
    """Memory-mapped files of an index; row i of each belongs to passage i."""

    passages: PassageStore
    searches: dict[str, WordSearch]
    """One entry for each key of `SPLITS`."""
    vectors: NDArray[np.float32] | None
    """(passage, dim), rows of unit length; None if the index was built without an encoder."""


def write_index(
    folder: Path,
    former: IndexFiles | None,
    new: Iterable[Evidence],
    embedder: TextEmbedder | None,
    progress: Progress | None,
) -> int:
    """Write existing passages with their vectors, then ``new`` ones, atomically; return the number of new passages.

    New passages are streamed to disk and their texts read back from there, so they need not fit into memory.
    """
    with whole_folder(folder) as draft:
        write_passages(draft / PASSAGES, former.passages.batches if former else (), new)
        texts = _Texts(PassageStore.open(draft / PASSAGES), len(former.passages) if former else 0)
        dim = 0
        if embedder is not None:
            dim = _write_vectors(draft / VECTORS, former.vectors if former else None, texts, embedder, progress)
        for by in SPLITS:
            WordSearch.build(by, texts, former.searches[by] if former else None).save(draft / by)
        added = len(texts)
        write_manifest(draft, texts.before + added, embedder.name if embedder else None, dim)
        del texts  # some systems cannot move a file that is mapped
    return added


class _Texts:
    """Texts of the stored passages after the first ``before`` ones, read in chunks."""

    def __init__(self, passages: PassageStore, before: int) -> None:
        self._passages, self.before = passages, before

    def __len__(self) -> int:
        return len(self._passages) - self.before

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), TEXTS_AT_ONCE):
            yield from self.portion(start)

    def portion(self, start: int) -> list[str]:
        """Return the next `TEXTS_AT_ONCE` texts."""
        first = self.before + start
        return self._passages.texts(first, min(first + TEXTS_AT_ONCE, self.before + len(self)))


def map_index(folder: Path, manifest: IndexManifest) -> IndexFiles:
    """Map the files of `write_index` into memory.

    Raises
    ------
    ValueError, OSError, KeyError, TypeError, AttributeError
        If a file does not match the manifest.
    """
    passages = PassageStore.open(folder / PASSAGES)
    if len(passages) != manifest.passages:
        raise ValueError(f"{PASSAGES} holds {len(passages):,} passages, not {manifest.passages:,}")
    searches = {by: WordSearch.open(by, folder / by, len(passages)) for by in SPLITS}
    if manifest.embedder is None:
        return IndexFiles(passages, searches, None)
    vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    if vectors.shape != (len(passages), manifest.dim) or vectors.dtype != np.float32:
        raise ValueError(f"{VECTORS} holds {vectors.dtype} {vectors.shape}")
    return IndexFiles(passages, searches, np.asarray(vectors))


def _write_vectors(
    path: Path,
    former: NDArray[np.float32] | None,
    texts: _Texts,
    embedder: TextEmbedder,
    progress: Progress | None,
) -> int:
    """Write existing vectors and those of ``texts``, in chunks; return the dimension."""
    vectors, kept = None, 0 if former is None else len(former)
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = embedder.embed_texts(texts.portion(start))
        if vectors is None:
            shape = (kept + len(texts), some.shape[1])
            vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            if former is not None:
                vectors[:kept] = former
        vectors[kept + start : kept + start + len(some)] = some
        if progress is not None:
            progress(start + len(some), len(texts))
    if vectors is None:
        return 0
    vectors.flush()
    return vectors.shape[1]
