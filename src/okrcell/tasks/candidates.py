"""Candidate cell types with their texts and Cell Ontology ids."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from okrcell.descriptions.metadata_text import is_prose, label_texts
from okrcell.errors import InputError
from okrcell.evidence import TextEmbedder
from okrcell.model.embedder import Embedder
from okrcell.model.text_encoder import mean_text_vectors
from okrcell.ontology.ontology import ontology, prefix_of
from okrcell.storage import atomic_file, cache_folder

logger = logging.getLogger(__name__)

CELL_ONTOLOGY = "CL"
MAX_FILE_SIZE = 10_000_000
"""Maximum size of a candidates file, in bytes."""
EMBED_BATCH_SIZE = 128


@dataclass(frozen=True)
class Candidate:
    """A cell type name that can be assigned to cells, with the texts that describe it."""

    name: str
    """Name as entered; for an ontology id, the name of the term."""
    term_id: str
    """Cell Ontology id, "" if the name is not a term of the ontology."""
    texts: tuple[str, ...]


def parse_candidates(entries: Sequence[str]) -> list[Candidate]:
    """Parse candidates: names, Cell Ontology ids or free text. Duplicate terms are removed; the order is kept.

    Raises
    ------
    InputError
        If the list is empty, an entry is empty, or an id does not exist.
    """
    if isinstance(entries, str):
        raise InputError(f"candidates must be a list of names, but is the string '{entries}'. Write ['{entries}'].")
    parsed: dict[str, Candidate] = {}
    for entry in entries:
        candidate = _parse_candidate(str(entry))
        # Two names of one type would split its probability, and both would have a low confidence.
        parsed.setdefault(candidate.term_id or candidate.name, candidate)
    if not parsed:
        raise InputError("There are no candidates. Pass at least one name, Cell Ontology id or sentence.")
    return list(parsed.values())


def read_candidates(source: str) -> list[str]:
    """Parse the option ``--candidates``: a text file with one candidate per line, or names separated by commas.

    Raises
    ------
    InputError
        If the file is missing, too large, not UTF-8 or has no candidate.
    """
    path = Path(source)
    if _is_file(path):
        if path.stat().st_size > MAX_FILE_SIZE:
            raise InputError(
                f"{source} has {path.stat().st_size:,} bytes; a list of candidates has at most {MAX_FILE_SIZE:,}."
            )
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise InputError(f"{source} is not a UTF-8 text file. Write one candidate per line.") from None
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror}.") from None
        entries = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not entries:
            raise InputError(f"{source} contains no candidate. Write one name, Cell Ontology id or sentence per line.")
        return entries
    if path.suffix in {".txt", ".tsv", ".csv", ".list"} and "," not in source:
        raise InputError(f"The candidates file {source} does not exist.")
    return _rejoin_commas([entry.strip() for entry in source.split(",") if entry.strip()])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A long list of names exceeds the maximum length of a file name.
        return False


def _rejoin_commas(entries: list[str]) -> list[str]:
    """Rejoin names that contain a comma, such as "CD4-positive, alpha-beta T cell"."""
    find_term = ontology(CELL_ONTOLOGY).find
    joined: list[str] = []
    while entries:
        size = next((size for size in (4, 3, 2) if size <= len(entries) and find_term(", ".join(entries[:size]))), 1)
        joined.append(", ".join(entries[:size]))
        entries = entries[size:]
    return joined


def default_candidates(embedder: Embedder) -> list[Candidate]:
    """Return the Cell Ontology types of the model's training data, as default candidates.

    Raises
    ------
    InputError
        If the model does not list its training cell types.
    """
    training_types = [
        type_id
        for type_id in embedder.facts.get("seen", {}).get("cell_types", [])
        if prefix_of(type_id) == CELL_ONTOLOGY
    ]
    current_id = ontology(CELL_ONTOLOGY).current_id
    term_ids = list(dict.fromkeys(term for term in map(current_id, training_types) if term))
    if not term_ids:
        raise InputError(f"The model {embedder.name} does not list the cell types it was trained on. Pass candidates.")
    return parse_candidates(term_ids)


def candidate_vectors(candidates: Sequence[Candidate], embedder: TextEmbedder) -> Float[np.ndarray, "candidate dim"]:
    """Return a unit vector for each candidate: the normalized mean of the vectors of its texts."""
    return mean_text_vectors([candidate.texts for candidate in candidates], embedder)


def _parse_candidate(entry: str) -> Candidate:
    texts = label_texts(entry)
    name = " ".join(entry.split())
    if prefix_of(name) == CELL_ONTOLOGY:
        term = ontology(CELL_ONTOLOGY).term(name)
        return Candidate(term.name, term.id, texts)
    term = ontology(CELL_ONTOLOGY).find(name)
    return Candidate(name, term.id if term else "", texts)


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
                logger.info("Using the cached text vectors %s", cache_path)
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
    except (OSError, InputError) as error:
        logger.warning("The text vectors are not cached: %s", error)
    else:
        logger.info("Cached %d text vectors in %s", len(vectors), cache_path)
