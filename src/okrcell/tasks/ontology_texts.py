"""Candidate sets: all types of the Cell Ontology, or the training types of a model, with cached text vectors."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from okrcell.errors import InputError
from okrcell.files import whole_file
from okrcell.knowledge.ontology import ontology
from okrcell.knowledge.snapshots import cache_folder
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate, candidate_vectors, known_candidates
from okrcell.texts.describe import label_texts
from okrcell.texts.sentences import readable

AT_ONCE = 128


@cache
def ontology_types() -> tuple[Candidate, ...]:
    """Every current cell type with a readable definition, ordered by id; types of mouse only are left out."""
    home = ontology(CELL_ONTOLOGY)
    terms = (home.term(term_id) for term_id in home.terms())
    told = (term for term in terms if readable(term.definition) and not term.name.endswith(("(Mmus)", ", mouse")))
    return tuple(Candidate(term.name, term.id, label_texts(term.id)) for term in told)


def seen_types(embedder: Embedder) -> tuple[Candidate, ...]:
    """Cell types of the model's training data; empty if the model does not list them."""
    try:
        return tuple(known_candidates(embedder))
    except InputError:
        return ()


def ontology_vectors(
    embedder: Embedder, progress: Callable[[int, int], None] | None = None
) -> Float[np.ndarray, "type dim"]:
    """Return a unit vector for each of `ontology_types`; takes about a minute if not cached."""
    return kept_vectors(ontology_types(), embedder, progress)


def kept_vectors(
    types: Sequence[Candidate], embedder: Embedder, progress: Callable[[int, int], None] | None = None
) -> Float[np.ndarray, "type dim"]:
    """Return a unit vector for each type, computed once and cached on disk.

    The file name in the user's cache is a hash of the model's weights and of all texts. If the cache is not writable, the
    vectors are computed again.
    """
    kept = _kept_at(embedder, types)
    if kept is not None and kept.exists():
        try:
            vectors = np.load(kept)
            if vectors.shape == (len(types), embedder.dim):
                return vectors
        except (OSError, ValueError):
            pass  # a damaged cache file is written again
    vectors = np.empty((len(types), embedder.dim), dtype=np.float32)
    for start in range(0, len(types), AT_ONCE):
        vectors[start : start + AT_ONCE] = candidate_vectors(types[start : start + AT_ONCE], embedder)
        if progress is not None:
            progress(min(start + AT_ONCE, len(types)), len(types))
    if kept is not None:
        _keep(vectors, kept)
    return vectors


def _kept_at(embedder: Embedder, types: Sequence[Candidate]) -> Path | None:
    if not embedder.fingerprint:
        return None
    words = "\n".join([embedder.fingerprint, *("\t".join((each.term_id, *each.texts)) for each in types)])
    return cache_folder().parent / "vectors" / f"{hashlib.sha256(words.encode()).hexdigest()[:16]}.npy"


def _keep(vectors: Float[np.ndarray, "type dim"], kept: Path) -> None:
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(kept) as draft, draft.open("wb") as file:
            np.save(file, vectors)
    except (OSError, InputError):
        pass
