"""Candidate sets: all types of the Cell Ontology, or the training types of a model, with cached text vectors."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from okrcell.errors import InputError
from okrcell.storage import atomic_file
from okrcell.ontology.ontology import ontology
from okrcell.knowledge.downloads import cache_folder
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate, candidate_vectors, default_candidates
from okrcell.texts.describe import label_texts
from okrcell.texts.sentences import is_prose

EMBED_BATCH_SIZE = 128


@cache
def ontology_types() -> tuple[Candidate, ...]:
    """Every current cell type with a readable definition, ordered by id; types of mouse only are left out."""
    cell_ontology = ontology(CELL_ONTOLOGY)
    terms = (cell_ontology.term(term_id) for term_id in cell_ontology.term_ids())
    readable_terms = (
        term for term in terms if is_prose(term.definition) and not term.name.endswith(("(Mmus)", ", mouse"))
    )
    return tuple(Candidate(term.name, term.id, label_texts(term.id)) for term in readable_terms)


def known_types(embedder: Embedder) -> tuple[Candidate, ...]:
    """Cell types of the model's training data; empty if the model does not list them."""
    try:
        return tuple(default_candidates(embedder))
    except InputError:
        return ()


def ontology_vectors(
    embedder: Embedder, progress: Callable[[int, int], None] | None = None
) -> Float[np.ndarray, "type dim"]:
    """Return a unit vector for each of `ontology_types`; takes about a minute if not cached."""
    return cached_type_vectors(ontology_types(), embedder, progress)


def cached_type_vectors(
    types: Sequence[Candidate], embedder: Embedder, progress: Callable[[int, int], None] | None = None
) -> Float[np.ndarray, "type dim"]:
    """Return a unit vector for each type, computed once and cached on disk.

    The file name in the user's cache is a hash of the model's weights and of all texts. If the cache is not writable, the
    vectors are computed again.
    """
    cache_path = _cache_path(embedder, types)
    if cache_path is not None and cache_path.exists():
        try:
            vectors = np.load(cache_path)
            if vectors.shape == (len(types), embedder.dim):
                return vectors
        except (OSError, ValueError):
            pass  # a damaged cache file is written again
    vectors = np.empty((len(types), embedder.dim), dtype=np.float32)
    for start in range(0, len(types), EMBED_BATCH_SIZE):
        vectors[start : start + EMBED_BATCH_SIZE] = candidate_vectors(types[start : start + EMBED_BATCH_SIZE], embedder)
        if progress is not None:
            progress(min(start + EMBED_BATCH_SIZE, len(types)), len(types))
    if cache_path is not None:
        _write_cache(vectors, cache_path)
    return vectors


def _cache_path(embedder: Embedder, types: Sequence[Candidate]) -> Path | None:
    if not embedder.fingerprint:
        return None
    content = "\n".join(
        [embedder.fingerprint, *("\t".join((candidate.term_id, *candidate.texts)) for candidate in types)]
    )
    return cache_folder().parent / "vectors" / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.npy"


def _write_cache(vectors: Float[np.ndarray, "type dim"], cache_path: Path) -> None:
    try:
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(cache_path) as draft, draft.open("wb") as file:
            np.save(file, vectors)
    except (OSError, InputError):
        pass
