"""Candidate cell types with their texts and Cell Ontology ids."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from okrcell.descriptions.metadata_text import is_prose, label_texts
from okrcell.errors import InputError
from okrcell.evidence import TextEmbedder
from okrcell.model.embedder import Embedder
from okrcell.model.text_encoder import mean_text_vectors
from okrcell.ontology.label_parsing import clean_label
from okrcell.ontology.obs_profile import single_tissue
from okrcell.ontology.ontology import ontology, prefix_of
from okrcell.ontology.resolver import ResolvedType, as_free_text, resolve_cell_type
from okrcell.storage import cache_folder
from okrcell.tasks.candidate_files import split_candidates
from okrcell.vector_cache import load_vectors, store_vectors

logger = logging.getLogger(__name__)

CELL_ONTOLOGY = "CL"
MAX_LINE_LENGTH = 100_000
"""Characters of a line of a candidate file; a longer one is no name or sentence."""
MAX_FILE_SIZE = 10_000_000
"""Maximum size of a candidates file, in bytes."""
FILE_SUFFIXES = (".txt", ".tsv", ".csv", ".list", ".json", ".yaml", ".yml", ".md", ".xlsx", ".xls", ".r", ".rds")
EMBED_BATCH_SIZE = 128


@dataclass(frozen=True)
class Candidate:
    """A cell type name that can be assigned to cells, with the texts that describe it."""

    name: str
    """Name as entered; for an ontology id, the name of the term."""
    term_id: str
    """Cell Ontology id, "" if the name is not a term of the ontology."""
    texts: tuple[str, ...]


@dataclass(frozen=True)
class ResolvedCandidates:
    """Candidates with a remark on each entry that is not the name or id of its term."""

    candidates: list[Candidate]
    remarks: tuple[str, ...]
    """One line per entry that was resolved to another name or to nothing, merged with another entry, or left out."""


def parse_candidates(entries: Iterable[object], tissue_id: str = "", *, strict: bool = False) -> list[Candidate]:
    """Parse candidates: names, Cell Ontology ids or free text (see `resolve_candidates`)."""
    return resolve_candidates(entries, tissue_id, strict=strict).candidates


def resolve_candidates(entries: Iterable[object], tissue_id: str = "", *, strict: bool = False) -> ResolvedCandidates:
    """Resolve candidates to Cell Ontology terms; the order is kept, and entries of the same term are merged.

    A name is matched as by `okrcell.tl.standardise`. A name whose qualifier is in no type gets the broader term, if no other
    candidate has this term; otherwise it is read as free text, as are sentences. Each remark is logged.

    Parameters
    ----------
    entries
        Names, ids or sentences. Placeholders, numbers and missing values are left out.
    tissue_id
        Uberon id of the tissue of the cells, "" if unknown.
    strict
        Refuse names that are not resolved.

    Raises
    ------
    InputError
        If no candidate is left, an entry is empty or the id of another ontology, an id does not exist, or a name is not
        resolved and ``strict`` is set.
    """
    if isinstance(entries, str | bytes | Mapping) or not hasattr(entries, "__iter__"):
        raise InputError(f"candidates must be a list of names, but is {entries!r}. Write ['B cell', 'T cell'].")
    names = [_entry_text(entry) for entry in entries]
    left_out = [name for name in names if name is None or is_placeholder(name)]
    resolved = [resolve_cell_type(name, tissue_id) for name in names if name and not is_placeholder(name)]
    if not resolved:
        hint = (
            f": {', '.join(str(name or 'missing value') for name in left_out[:3])} names no cell type"
            if left_out
            else ""
        )
        raise InputError(f"There are no candidates{hint}. Pass at least one name, Cell Ontology id or sentence.")
    resolved = [as_free_text(entry) if _is_ambiguous(entry, resolved) else entry for entry in resolved]
    unresolved = [entry for entry in resolved if entry.term is None]
    if strict and unresolved:
        listed = ", ".join(f"'{entry.entry}'{entry.question}" for entry in unresolved)
        raise InputError(
            f"{len(unresolved)} of {len(resolved)} candidates name no known cell type: {listed}. Correct them, or leave "
            "--strict (strict=True) out to read them as free text."
        )
    candidates: dict[str, Candidate] = {}
    remarks = [f"{name or 'missing value'}: names no cell type; left out" for name in dict.fromkeys(left_out)]
    for entry in resolved:
        candidate = _to_candidate(entry)
        # Two names of one type would split its probability, and both would have a low confidence.
        first = candidates.setdefault(candidate.term_id or candidate.name, candidate)
        if entry.remark:
            remarks.append(entry.remark)
        if first is not candidate and first.name != candidate.name:
            remarks.append(f"{candidate.name}: the same type as the candidate {first.name}, {first.term_id}; used once")
    for remark in remarks:
        logger.log(logging.INFO if " -> " in remark else logging.WARNING, "%s", remark)
    return ResolvedCandidates(list(candidates.values()), tuple(remarks))


def resolve_candidates_of(obs: pd.DataFrame, entries: Iterable[object], *, strict: bool = False) -> ResolvedCandidates:
    """Resolve candidates in the tissue of these cells (`resolve_candidates`).

    Ids need no tissue, and reading the ontology of tissues takes longer than annotating a few hundred cells.
    """
    is_ids = isinstance(entries, list | tuple) and all(prefix_of(str(entry)) == CELL_ONTOLOGY for entry in entries)
    return resolve_candidates(entries, "" if is_ids else single_tissue(obs), strict=strict)


def _entry_text(entry: object) -> str | None:
    """Return an entry as text with single spaces; None for a missing value."""
    if (
        entry is None
        or entry is pd.NA
        or entry is pd.NaT
        or (isinstance(entry, float | np.floating) and np.isnan(entry))
    ):
        return None
    if not isinstance(entry, str | int | float | np.number):
        raise InputError(f"A candidate must be a text, but {entry!r} is of type {type(entry).__name__}.")
    text = " ".join(str(entry).split())
    if not text:
        raise InputError("A candidate is empty; give a cell type name, a Cell Ontology id or a sentence.")
    return text


def is_placeholder(name: str) -> bool:
    """Whether a name is a number or a placeholder such as "nan" or "unknown"."""
    return not clean_label(name) and not name.endswith("?")


def _is_ambiguous(entry: ResolvedType, entries: Sequence[ResolvedType]) -> bool:
    """Whether the term of an entry covers only a part of it and is the term of another entry as well."""
    if entry.term is None or entry.is_exact:
        return False
    return any(
        other.term is not None and other.term.id == entry.term.id and other.entry.casefold() != entry.entry.casefold()
        for other in entries
    )


def _to_candidate(resolved: ResolvedType) -> Candidate:
    if resolved.term is None:
        return Candidate(resolved.entry, "", (resolved.entry,))
    texts = label_texts(resolved.term.id)
    if resolved.method == "id":
        return Candidate(resolved.term.name, resolved.term.id, texts)
    return Candidate(resolved.entry, resolved.term.id, texts if resolved.is_exact else (resolved.entry, *texts))


def read_candidates(source: str) -> list[str]:
    """Parse the option ``--candidates``: names separated by commas or semicolons, or a file of names.

    A file has one name per line, or is a table with a column cell_type, a JSON or YAML list, or an R vector
    (`okrcell.tasks.candidate_files.split_candidates`).

    Raises
    ------
    InputError
        If the file is missing, a folder, too large or not UTF-8, or its names cannot be told apart.
    """
    path = Path(source)
    if _is_path(path, "is_dir"):
        raise InputError(
            f"{source} is a folder, not a list of candidates. Pass names, or a file with one name per line."
        )
    is_file = _is_path(path, "is_file")
    looks_like_file = path.suffix.lower() in FILE_SUFFIXES or source.startswith(("/", "./", "../", "~"))
    if not is_file and looks_like_file and "," not in source:
        raise InputError(f"The candidates file {source} does not exist.")
    origin = source if is_file else "--candidates"
    entries = split_candidates(_read_text(path) if is_file else source, origin, _names_type)
    if not entries:
        raise InputError(f"{origin} contains no candidate. Write one name, Cell Ontology id or sentence per line.")
    return entries


def _read_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_SIZE:
            raise InputError(f"{path} has {size:,} bytes; a list of candidates has at most {MAX_FILE_SIZE:,}.")
        text = path.read_text(encoding="utf-8-sig")
        if "\0" in text or max(map(len, text.splitlines()), default=0) > MAX_LINE_LENGTH:
            raise InputError(
                f"{path} is no list of candidates: it has zero bytes or lines of over {MAX_LINE_LENGTH:,} characters."
            )
        return text
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a UTF-8 text file. Write one candidate per line.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def _names_type(text: str) -> bool:
    try:
        return resolve_cell_type(text).term is not None
    except InputError:
        return False


def _is_path(path: Path, kind: Literal["is_file", "is_dir"]) -> bool:
    try:
        return bool(getattr(path, kind)())
    except (OSError, ValueError):
        # A long list of names exceeds the maximum length of a file name.
        return False


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

    The file name in the user's cache is a hash of the model's weights and of all texts. If the file is damaged or the cache is
    not writable, the vectors are computed again.
    """
    cache_path = _cache_path(embedder, types)
    cached = None if cache_path is None else load_vectors(cache_path, len(types), embedder.dim)
    if cached is not None:
        logger.info("Using the cached text vectors %s", cache_path)
        return cached
    vectors = np.empty((len(types), embedder.dim), dtype=np.float32)
    for start in range(0, len(types), EMBED_BATCH_SIZE):
        vectors[start : start + EMBED_BATCH_SIZE] = candidate_vectors(types[start : start + EMBED_BATCH_SIZE], embedder)
        if progress is not None:
            progress(min(start + EMBED_BATCH_SIZE, len(types)), len(types))
    if cache_path is not None:
        store_vectors(cache_path, vectors)
    return vectors


def _cache_path(embedder: Embedder, types: Sequence[Candidate]) -> Path | None:
    if not embedder.fingerprint:
        return None
    content = "\n".join(
        [embedder.fingerprint, *("\t".join((candidate.term_id, *candidate.texts)) for candidate in types)]
    )
    return cache_folder().parent / "vectors" / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.npy"
