"""The names that a cell may be given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from okrcell.errors import InputError
from okrcell.knowledge.ontology import ontology, prefix_of
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.model.embedder import Embedder
from okrcell.texts.describe import label_texts

CELL_ONTOLOGY = "CL"
LONGEST_FILE = 10_000_000
"""Bytes; a list of candidates is never larger."""


@dataclass(frozen=True)
class Candidate:
    """A name that cells may be given, with the texts that stand for it."""

    name: str
    """As the user wrote it; for an ontology id, the name of its term."""
    term_id: str
    """Cell Ontology id, "" if the words name no known type."""
    texts: tuple[str, ...]


def candidates(words: Sequence[str]) -> list[Candidate]:
    """Read what the user wrote: names, Cell Ontology ids or free text; what means the same once, in their order.

    Raises
    ------
    InputError
        If there is none, one is empty, or an id does not exist.
    """
    if isinstance(words, str):
        raise InputError(f"candidates must be a list of names, but it is the text '{words}'. Write ['{words}'].")
    read: dict[str, Candidate] = {}
    for word in words:
        candidate = _read(str(word))
        # Two names of one type would share its probability, and neither would seem likely.
        read.setdefault(candidate.term_id or candidate.name, candidate)
    if not read:
        raise InputError("There are no candidates. Give at least one name, Cell Ontology id or sentence.")
    return list(read.values())


def candidates_in(source: str) -> list[str]:
    """Read the command line's ``--candidates``: a text file with one candidate a line, or names between commas.

    Raises
    ------
    InputError
        If the file holds no text or no candidate.
    """
    path = Path(source)
    if _is_file(path):
        if path.stat().st_size > LONGEST_FILE:
            raise InputError(f"{source} has {path.stat().st_size:,} bytes: that is no list of candidates.")
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise InputError(f"{source} is no text file; write one candidate a line, UTF-8.") from None
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror}.") from None
        words = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not words:
            raise InputError(f"{source} holds no candidate; write one name, Cell Ontology id or sentence a line.")
        return words
    if path.suffix in {".txt", ".tsv", ".csv", ".list"} and "," not in source:
        raise InputError(f"There is no candidates file {source}.")
    return _rejoined([word.strip() for word in source.split(",") if word.strip()])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A long list of names is too long for a file's name.
        return False


def _rejoined(words: list[str]) -> list[str]:
    """Put names together again that hold a comma, such as "CD4-positive, alpha-beta T cell"."""
    known = ontology(CELL_ONTOLOGY).find
    joined: list[str] = []
    while words:
        size = next((size for size in (4, 3, 2) if size <= len(words) and known(", ".join(words[:size]))), 1)
        joined.append(", ".join(words[:size]))
        words = words[size:]
    return joined


def known_candidates(embedder: Embedder) -> list[Candidate]:
    """Return the Cell Ontology types that the model has seen in learning, for when the user names none.

    Raises
    ------
    InputError
        If the model does not say which it has seen.
    """
    seen = [word for word in embedder.facts.get("seen", {}).get("cell_types", []) if prefix_of(word) == CELL_ONTOLOGY]
    current = ontology(CELL_ONTOLOGY).current
    words = list(dict.fromkeys(term for term in map(current, seen) if term))
    if not words:
        raise InputError(f"The model {embedder.name} does not tell which cell types it has seen; name the candidates.")
    return candidates(words)


def candidate_vectors(some: Sequence[Candidate], embedder: TextEmbedder) -> Float[np.ndarray, "candidate dim"]:
    """Return a unit vector for each candidate: the direction of the mean of its texts' vectors."""
    vectors = embedder.embed_texts([text for candidate in some for text in candidate.texts])
    starts = np.cumsum([0, *(len(candidate.texts) for candidate in some[:-1])])
    mean = np.add.reduceat(vectors, starts, axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def _read(word: str) -> Candidate:
    texts = label_texts(word)
    words = " ".join(word.split())
    if prefix_of(words) == CELL_ONTOLOGY:
        term = ontology(CELL_ONTOLOGY).term(words)
        return Candidate(term.name, term.id, texts)
    term = ontology(CELL_ONTOLOGY).find(words)
    return Candidate(words, term.id if term else "", texts)
