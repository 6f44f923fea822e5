"""Hybrid search index over the passages of all sources.

An index is a folder::

    index.json         number of passages, name of the encoder, sha256 of every file
    passages.arrow     passages with source, record, version and licence, memory-mapped
    words/ fragments/  BM25 weights of words and of character n-grams, by `bm25s`: arrays and JSON, memory-mapped
    vectors.npy        unit vectors, float32 (passage, dim), memory-mapped; only if built with an encoder

No file contains executable code. The folder is written atomically, also when passages are added.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.search.fusion import FusionSettings, Ranking, best, fuse
from okrcell.knowledge.search.index_files import IndexFiles, Progress, map_index, write_index
from okrcell.knowledge.search.index_folder import damaged, must_be_replaceable, read_manifest
from okrcell.knowledge.search.passage_store import PassageKey, key_of
from okrcell.knowledge.vectors import TextEmbedder


class Found(NamedTuple):
    """Search result."""

    evidence: Evidence
    score: float
    """Fused score (see `fuse`), comparable within one search only."""
    bm25_rank: int | None
    """Rank by words, starting at 1; None if no word is shared or the rank is below the search depth."""
    fragment_rank: int | None
    """Rank by character n-grams; None as above."""
    dense_rank: int | None
    """Rank by vectors; None as above."""


class PassageIndex:
    """Passages with their search structures; created by `build`, loaded by `open`."""

    def __init__(self, folder: Path, files: IndexFiles, embedder: TextEmbedder | None) -> None:
        self.folder, self._files, self._embedder = folder, files, embedder

    @classmethod
    def build(
        cls,
        folder: str | Path,
        passages: Iterable[Evidence],
        embedder: TextEmbedder | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Build an index in ``folder``, replacing an older one; without ``embedder`` it has BM25 only.

        Raises
        ------
        InputError
            If there are no passages, or ``folder`` exists and is not an index.
        """
        folder = Path(folder)
        must_be_replaceable(folder)
        new = _once(passages, set())
        first = next(new, None)
        if first is None:
            raise InputError("There are no passages to index. Check that the sources are not empty or filtered out.")
        write_index(folder, None, chain([first], new), embedder, progress)
        return cls.open(folder, embedder, check=False)

    @classmethod
    def open(cls, folder: str | Path, embedder: TextEmbedder | None = None, *, check: bool = True) -> Self:
        """Map the index in ``folder`` into memory. Without ``embedder`` only BM25 is used.

        ``check`` reads all files once and compares their sha256; otherwise only sizes are compared.

        Raises
        ------
        InputError
            If there is no index, it is damaged, or it has the vectors of another encoder.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, check=check)
        if embedder is not None and manifest.embedder != embedder.name:
            has = f"vectors of '{manifest.embedder}'" if manifest.embedder else "no vectors"
            raise InputError(
                f"The index in {folder} has {has}, not of '{embedder.name}'. Build it again with that encoder."
            )
        try:
            files = map_index(folder, manifest)
        except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
            raise damaged(folder, next(iter(str(error).splitlines()), type(error).__name__)) from None
        return cls(folder, files, embedder)

    def __len__(self) -> int:
        return len(self._files.passages)

    def __getitem__(self, place: int) -> Evidence:
        return self._files.passages[range(len(self))[place]]

    def sources(self) -> tuple[str, ...]:
        """Return the names of all sources in the index, sorted."""
        return self._files.passages.sources()

    def add(self, passages: Iterable[Evidence], progress: Progress | None = None) -> int:
        """Add new passages and return their number; existing passages keep their vectors and indices.

        Passages with equal source, record and text are the same. All BM25 weights are recomputed from the stored counts,
        because the document frequencies change; the result equals an index built from all passages.

        Raises
        ------
        InputError
            If the index has vectors, but was opened without its encoder.
        """
        new = _once(passages, self._files.passages.keys())
        first = next(new, None)
        if first is None:
            return 0
        if self._files.vectors is not None and self._embedder is None:
            raise InputError(f"The index in {self.folder} has vectors; open it with its encoder to add passages.")
        added = write_index(self.folder, self._files, chain([first], new), self._embedder, progress)
        self._files = type(self).open(self.folder, self._embedder, check=False)._files
        return added

    def search(
        self,
        query: str | Sequence[str],
        top: int = 5,
        *,
        sources: Iterable[str] | None = None,
        about: frozenset[str] | None = None,
        weights: FusionSettings | None = None,
    ) -> tuple[Found, ...]:
        """Return the ``top`` passages for ``query``, best first.

        Parameters
        ----------
        query
            Words, a name or a sentence; blank text returns nothing. Several phrasings of one query, such as
            `okrcell.knowledge.neighbourhood.questions` of a term, are searched together with equal weight.
        top
            Maximum number of passages.
        sources
            Restrict the search to these sources (`Evidence.source`).
        about
            Restrict the search to passages about one of these ontology terms (see `okrcell.knowledge.neighbourhood`).
            Passages without terms, such as plain abstracts, are then left out.
        weights
            Weights of the search methods; methods of weight 0 are skipped.
        """
        weights = weights or FusionSettings()
        phrasings = [each for each in ([query] if isinstance(query, str) else query) if each.strip()]
        if not phrasings:
            return ()
        rankings = self._rankings(phrasings, weights, self._allowed(sources, about))
        fused = fuse([ranking for _, ranking in rankings], weights.k)
        ways = [way for way, _ in rankings]
        return tuple(
            Found(self._files.passages[int(place)], float(score), *_best_ranks(ways, ranks.tolist()))
            for place, score, ranks in zip(fused.places[:top], fused.score[:top], fused.rank[:top], strict=True)
        )

    def _rankings(
        self, phrasings: list[str], weights: FusionSettings, allowed: NDArray[np.bool_] | None
    ) -> list[tuple[str, Ranking]]:
        """Rank by each search method and phrasing; the weight of a method is divided among the phrasings."""
        rankings: list[tuple[str, Ranking]] = []
        for by, weight in (("words", weights.words), ("fragments", weights.fragments)):
            for phrasing in phrasings if weight > 0 else ():
                score = self._files.searches[by].scores(phrasing)
                shared = score > 0 if allowed is None else allowed & (score > 0)
                rankings.append((by, Ranking(best(score, weights.depth, shared), weight / len(phrasings))))
        if weights.meaning > 0 and self._files.vectors is not None and self._embedder is not None:
            # One vector at a time: a matrix product would first copy the vectors of all passages.
            for vector in self._embedder.embed_texts(phrasings):
                # One thread: busy-waiting threads of the encoder would slow down a multi-threaded product several times.
                with _blas().limit(limits=1, user_api="blas"):
                    likeness = self._files.vectors @ vector
                places = best(likeness, weights.depth, allowed)
                rankings.append(("meaning", Ranking(places, weights.meaning / len(phrasings))))
        return rankings

    def _allowed(self, sources: Iterable[str] | None, about: frozenset[str] | None) -> NDArray[np.bool_] | None:
        sources = [sources] if isinstance(sources, str) else sources
        masks = [self._files.passages.of(sources)] if sources is not None else []
        masks += [self._files.passages.about(about)] if about is not None else []
        return np.logical_and.reduce(masks) if masks else None


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _best_ranks(ways: list[str], ranks: list[int]) -> list[int | None]:
    """Return the best rank of a passage in each search method, over all phrasings."""
    seen = [(way, rank) for way, rank in zip(ways, ranks, strict=True) if rank]
    return [
        min((rank for way, rank in seen if way == each), default=None) for each in ("words", "fragments", "meaning")
    ]


def _once(passages: Iterable[Evidence], known: set[PassageKey]) -> Iterator[Evidence]:
    """Yield the passages whose keys are not in ``known``, each once, and add their keys to ``known``."""
    for passage in passages:
        key = key_of(passage)
        if key not in known:
            known.add(key)
            yield passage
