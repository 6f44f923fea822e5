"""Embeddings of the names of an ontology, cached on disk."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from okrcell.storage import atomic_file
from okrcell.ontology.ontology import Ontology, ontology
from okrcell.knowledge.downloads import cache_folder
from okrcell.knowledge.vectors import TextEmbedder

MAX_NAMES_WITH_SYNONYMS = 20_000
"""Maximum number of names with synonyms; above it only the names of the terms are embedded (a tenth of the time)."""


class NameVectors:
    """Unit vectors of names, for nearest-term search."""

    def __init__(self, term_ids: Sequence[str], vectors: NDArray[np.float32], embedder: TextEmbedder) -> None:
        self._term_ids = term_ids
        self._vectors = vectors
        self._embedder = embedder

    def nearest(self, texts: Sequence[str], top: int) -> list[tuple[str, float]]:
        """Return (term id, cosine) of the ``top`` terms whose names are nearest to any of ``texts``, nearest first."""
        cosines = (self._embedder.embed_texts(list(texts)) @ self._vectors.T).max(axis=0)
        cosine_by_term: dict[str, float] = {}
        for i in np.argsort(-cosines, kind="stable"):
            cosine_by_term.setdefault(self._term_ids[int(i)], float(cosines[i]))
            if len(cosine_by_term) == top:
                break
        return list(cosine_by_term.items())


def load_name_vectors(source_ontology: Ontology, embedder: TextEmbedder, folder: Path | None = None) -> NameVectors:
    """Load the vectors of an ontology's names, or compute and store them in ``folder`` (default: the user's cache).

    The file name depends on encoder and names, so another encoder or release has its own file.
    """
    folder = cache_folder().parent if folder is None else folder
    term_ids, names = _ontology_names(source_ontology.prefix)
    key = hashlib.sha256("\n".join((embedder.name, *names)).encode()).hexdigest()[:16]
    path = folder / f"names-{source_ontology.prefix}-{key}.npy"
    return NameVectors(term_ids, _load_or_embed(path, names, embedder), embedder)


def _load_or_embed(path: Path, names: tuple[str, ...], embedder: TextEmbedder) -> NDArray[np.float32]:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        if len(vectors) == len(names):
            return vectors
    except (OSError, ValueError, EOFError):
        pass  # missing or truncated: computed again
    vectors = embedder.embed_texts(names).astype(np.float32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as draft, draft.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
    except OSError:
        pass  # without a writable cache the vectors are computed each time
    return vectors


@cache
def _ontology_names(prefix: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    source_ontology = ontology(prefix)
    terms = [source_ontology.term(term_id) for term_id in source_ontology.term_ids()]
    names = [(term.id, name) for term in terms for name in dict.fromkeys((term.name, *term.synonyms))]
    if len(names) > MAX_NAMES_WITH_SYNONYMS:
        names = [(term.id, term.name) for term in terms]
    return tuple(term_id for term_id, _ in names), tuple(name for _, name in names)
