"""An index of passages is written, and mapped again."""

from collections.abc import Callable, Sequence
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

Progress = Callable[[int, int], None]
"""Told how many new passages of how many have their vectors."""


class IndexFiles(NamedTuple):
    """What is mapped; row for row the same passages."""

    passages: PassageStore
    searches: dict[str, WordSearch]
    """One for each of `SPLITS`."""
    vectors: NDArray[np.float32] | None
    """(passage, dim), rows of unit length; None when the index was built without an encoder."""


def write_index(
    folder: Path,
    former: IndexFiles | None,
    new: Sequence[Evidence],
    embedder: TextEmbedder | None,
    progress: Progress | None,
) -> None:
    """Write former passages with the vectors they have, then ``new`` ones; whole or not at all."""
    texts = [passage.text for passage in new]
    with whole_folder(folder) as draft:
        write_passages(draft / PASSAGES, former.passages.batches if former else (), new)
        dim = 0
        if embedder is not None:
            dim = _write_vectors(draft / VECTORS, former.vectors if former else None, texts, embedder, progress)
        for by in SPLITS:
            WordSearch.build(by, texts, former.searches[by] if former else None).save(draft / by)
        before = len(former.passages) if former else 0
        write_manifest(draft, before + len(new), embedder.name if embedder else None, dim)


def map_index(folder: Path, manifest: IndexManifest) -> IndexFiles:
    """Map what `write_index` wrote.

    Raises
    ------
    ValueError, OSError, KeyError, TypeError, AttributeError
        If a file is not what the manifest says.
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
    texts: Sequence[str],
    embedder: TextEmbedder,
    progress: Progress | None,
) -> int:
    """Write former vectors and those of ``texts``, a portion at a time, and return their length."""
    vectors, kept = None, 0 if former is None else len(former)
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = embedder.embed_texts(texts[start : start + TEXTS_AT_ONCE])
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
