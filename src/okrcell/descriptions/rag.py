"""Literature retrieval for profiles, from a passage index in the user's cache."""

import atexit
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from okrcell.descriptions.metadata_text import NORMAL_ID
from okrcell.errors import InputError
from okrcell.evidence import Evidence, KnowledgeSource, TextEmbedder
from okrcell.knowledge.passage_index import PassageIndex
from okrcell.knowledge.passage_store import check_replaceable
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.relations import search_queries
from okrcell.provenance import provenance_record
from okrcell.settings import Settings
from okrcell.storage import cache_folder

logger = logging.getLogger(__name__)

TEXT_SEARCH_SOURCES = ("literature",)
"""Sources that are not looked up by term id; their passages are searched by text."""
_VERSIONED_PACKAGES = ("okrcell", "cellxgene_ontology_guide")
"""Packages whose version determines how texts are split and which terms a passage mentions."""


class RetrievalSettings(Settings):
    """Settings of the literature retrieval."""

    top_k: Annotated[int, Field(ge=0, le=100)] = 5
    """Number of passages per profile (our reconstruction: the paper does not say; 3 and 10 are the alternatives)."""
    disease: bool = True
    """Include the disease in the query. The paper's query leaves it out, although its prompt requests a passage on it;
    False is as in the paper."""
    widen: bool = True
    """Add a second query with the parents and synonyms of the cell type [ours]; False is as in the paper."""


def build_query(profile: CellProfile, settings: RetrievalSettings) -> str:
    """Build the literature query: cell type, tissue, sex, developmental stage [paper] and disease [ours]."""
    facts = [profile.cell_type, profile.tissue, profile.sex, profile.development_stage]
    if settings.disease and profile.disease_id != NORMAL_ID:
        facts.append(profile.disease)
    return ", ".join(filter(None, facts))


class LiteratureRetriever:
    """Literature search for profiles; each distinct query is searched once."""

    def __init__(
        self, index: PassageIndex, settings: RetrievalSettings, embedder: "CachedTextEmbedder | None" = None
    ) -> None:
        self._index = index
        self._settings = settings
        self._embedder = embedder
        self._cache: dict[tuple[str, ...], tuple[Evidence, ...]] = {}

    def passages(self, profile: CellProfile) -> tuple[Evidence, ...]:
        """Return the passages that match the profile best, best first; empty for a profile without facts."""
        queries = self._queries(profile)
        if not queries or self._settings.top_k == 0:
            return ()
        if queries not in self._cache:
            hits = self._index.search(queries, self._settings.top_k)
            self._cache[queries] = tuple(hit.evidence for hit in hits)
        return self._cache[queries]

    def embed_queries(self, profiles: Sequence[CellProfile]) -> None:
        """Embed the queries of many profiles in one batch, which is several times faster than one by one."""
        if self._embedder is not None:
            self._embedder.precompute([text for profile in profiles for text in self._queries(profile)])

    def _queries(self, profile: CellProfile) -> tuple[str, ...]:
        query = build_query(profile, self._settings)
        if not query:
            return ()
        # Parents and synonyms of the cell type find passages that do not contain its name.
        broad_queries = (
            search_queries(profile.cell_type_id)[-1:] if profile.cell_type_id and self._settings.widen else ()
        )
        return (query, *broad_queries)


class CachedTextEmbedder:
    """A `TextEmbedder` with a cache of precomputed vectors."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def precompute(self, texts: Sequence[str]) -> None:
        """Embed the texts that are not cached yet, and cache their vectors."""
        new_texts = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new_texts:
            self._vectors.update(zip(new_texts, self._embedder.embed_texts(new_texts), strict=True))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length float32 vectors (text, dim), from the cache if all texts are in it."""
        if all(text in self._vectors for text in texts):
            return np.stack([self._vectors[text] for text in texts])
        return self._embedder.embed_texts(texts)


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
            index = PassageIndex.open(folder, embedder)
        except InputError as error:
            logger.warning("The cached passage index %s is damaged and is built again: %s", folder, error)
        else:
            logger.info("Using the cached passage index %s", folder)
            return index
    logger.info("Building the passage index %s", folder)
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
