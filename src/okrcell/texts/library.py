"""What is asked when a description is written: sources by term, and literature by its words."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from okrcell.errors import InputError
from okrcell.files import recover_folder
from okrcell.knowledge.evidence import KnowledgeSource
from okrcell.knowledge.search.index import PassageIndex
from okrcell.knowledge.snapshots import cache_folder
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.retrieve import RetrievalSettings, Retriever

SEARCHED = ("literature",)
"""Sources that know nothing of a term as such and are searched by words instead."""


def retriever_of(
    sources: Sequence[KnowledgeSource],
    settings: RetrievalSettings,
    embedder: TextEmbedder | None,
    progress: Callable[[int, int], None] | None = None,
) -> Retriever | None:
    """Open the index of the literature among ``sources``, building it the first time; None when there is none.

    The index is kept in the user's cache, under a name that follows from the sources' snapshots and the encoder.
    """
    searched = [source for source in sources if source.name in SEARCHED]
    if not searched or settings.top_k == 0:
        return None
    facts = "\n".join([*(f"{source.name} {source.snapshot}" for source in searched), embedder.name if embedder else ""])
    folder = cache_folder().parent / "indexes" / hashlib.sha256(facts.encode()).hexdigest()[:16]
    return Retriever(_index(folder, searched, embedder, progress), settings)


def _index(
    folder: Path,
    sources: Sequence[KnowledgeSource],
    embedder: TextEmbedder | None,
    progress: Callable[[int, int], None] | None,
) -> PassageIndex:
    recover_folder(folder)
    if folder.exists():
        try:
            return PassageIndex.open(folder, embedder)
        except InputError:
            # A cache that was damaged is made again; nobody has to be asked.
            pass
    folder.parent.mkdir(parents=True, exist_ok=True)
    passages = (passage for source in sources for passage in source.passages())
    return PassageIndex.build(folder, passages, embedder, progress)
