"""What is asked when a description is written: sources by term, and literature by its words."""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from okrcell.errors import InputError
from okrcell.knowledge.evidence import KnowledgeSource
from okrcell.knowledge.search.index import PassageIndex
from okrcell.knowledge.search.index_folder import must_be_replaceable
from okrcell.knowledge.snapshots import cache_folder
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.provenance import receipt
from okrcell.texts.retrieve import Remembering, RetrievalSettings, Retriever

SEARCHED = ("literature",)
"""Sources that know nothing of a term as such and are searched by words instead."""
_DECIDING = ("okrcell", "cellxgene_ontology_guide")
"""Packages that decide how a text is cut and which terms it is said to tell of."""


def retriever_of(
    sources: Sequence[KnowledgeSource],
    settings: RetrievalSettings,
    embedder: TextEmbedder | None,
    progress: Callable[[int, int], None] | None = None,
) -> Retriever | None:
    """Open the index of the literature among ``sources``, building it the first time; None when there is none.

    The index is kept in the user's cache, under a name that follows from the sources' snapshots, the encoder, and the
    versions of okrcell and the ontologies. A cache that takes no files costs time: the index is then built in a folder
    that is gone when the process ends.

    Raises
    ------
    InputError
        If the literature cannot be read, or holds no abstract.
    """
    searched = [source for source in sources if source.name in SEARCHED]
    if not searched or settings.top_k == 0:
        return None
    versions = receipt("index")["versions"]
    facts = [*(f"{source.name} {source.snapshot}" for source in searched), embedder.name if embedder else ""]
    facts += [f"{package} {versions[package]}" for package in _DECIDING]
    name = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    folder = cache_folder().parent / "indexes" / name
    if not _takes_an_index(folder):
        folder = _passing_folder() / name
    with _alone_at(folder):
        remembering = Remembering(embedder) if embedder else None
        return Retriever(_index(folder, searched, remembering, progress), settings, remembering)


def _index(
    folder: Path,
    sources: Sequence[KnowledgeSource],
    embedder: TextEmbedder | None,
    progress: Callable[[int, int], None] | None,
) -> PassageIndex:
    if folder.exists():
        try:
            return PassageIndex.open(folder, embedder)
        except InputError:
            # A cache that was damaged is made again; nobody has to be asked.
            pass
    passages = (passage for source in sources for passage in source.passages())
    return PassageIndex.build(folder, passages, embedder, progress)


def _takes_an_index(folder: Path) -> bool:
    """Tell whether an index can be kept at ``folder``, and make the folders above it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent), _alone_at(folder):
            must_be_replaceable(folder)
    except (OSError, InputError):
        return False
    return True


@contextmanager
def _alone_at(folder: Path) -> Generator[None]:
    """Wait until no other process opens or builds the index at ``folder``, and keep others waiting meanwhile.

    Of two at once, one would take the half-written index of the other for what a killed process left behind.
    """
    try:
        import fcntl
    except ImportError:
        yield  # Windows has no such lock, and refuses by itself to move a folder that is open
        return
    with folder.with_name(f"{folder.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, also by a process that is killed
        yield


@cache
def _passing_folder() -> Path:
    """Make a folder that lives as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="okrcell-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
