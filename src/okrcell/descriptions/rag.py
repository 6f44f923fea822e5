"""Literature index of a user: open it from the cache or build it."""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from okrcell.errors import InputError
from okrcell.evidence import KnowledgeSource
from okrcell.knowledge.passage_index import PassageIndex
from okrcell.knowledge.search.index_folder import check_replaceable
from okrcell.knowledge.downloads import cache_folder
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.provenance import provenance_record
from okrcell.texts.retrieve import CachedTextEmbedder, LiteratureRetriever, RetrievalSettings

TEXT_SEARCH_SOURCES = ("literature",)
"""Sources that are not looked up by term id; their passages are searched by text."""
_VERSIONED_PACKAGES = ("okrcell", "cellxgene_ontology_guide")
"""Packages whose version determines how texts are split and which terms a passage mentions."""


def open_retriever(
    sources: Sequence[KnowledgeSource],
    settings: RetrievalSettings,
    embedder: TextEmbedder | None,
    progress: Callable[[int, int], None] | None = None,
) -> LiteratureRetriever | None:
    """Open the index of the literature among ``sources``, building it the first time; None without literature.

    The index is stored in the user's cache folder, under a hash of the sources' snapshots, the encoder, and the
    versions of okrcell and the ontologies. If the cache folder is not writable, the index is built in a temporary
    folder that is removed when the process ends.

    Raises
    ------
    InputError
        If the literature cannot be read or contains no abstract.
    """
    literature = [source for source in sources if source.name in TEXT_SEARCH_SOURCES]
    if not literature or settings.top_k == 0:
        return None
    versions = provenance_record("index")["versions"]
    facts = [*(f"{source.name} {source.snapshot}" for source in literature), embedder.name if embedder else ""]
    facts += [f"{package} {versions[package]}" for package in _VERSIONED_PACKAGES]
    name = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    folder = cache_folder().parent / "indexes" / name
    if not _is_writable(folder):
        folder = _temporary_folder() / name
    with _file_lock(folder):
        cached_embedder = CachedTextEmbedder(embedder) if embedder else None
        return LiteratureRetriever(
            _open_or_build_index(folder, literature, cached_embedder, progress), settings, cached_embedder
        )


def _open_or_build_index(
    folder: Path,
    sources: Sequence[KnowledgeSource],
    embedder: TextEmbedder | None,
    progress: Callable[[int, int], None] | None,
) -> PassageIndex:
    if folder.exists():
        try:
            return PassageIndex.open(folder, embedder)
        except InputError:
            # A damaged cached index is rebuilt below.
            pass
    passages = (passage for source in sources for passage in source.passages())
    return PassageIndex.build(folder, passages, embedder, progress)


def _is_writable(folder: Path) -> bool:
    """Whether an index can be stored at ``folder``; creates the parent folders."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent), _file_lock(folder):
            check_replaceable(folder)
    except (OSError, InputError):
        return False
    return True


@contextmanager
def _file_lock(folder: Path) -> Generator[None]:
    """Hold an exclusive file lock on the index at ``folder``; other processes wait.

    Without the lock, a process could mistake an index that is being built for the remains of a killed process.
    """
    try:
        import fcntl
    except ImportError:
        yield  # Windows has no fcntl; it refuses to move a folder that is open
        return
    with folder.with_name(f"{folder.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also when the process is killed
        yield


@cache
def _temporary_folder() -> Path:
    """Create a temporary folder that is removed when the process exits."""
    folder = Path(tempfile.mkdtemp(prefix="okrcell-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
