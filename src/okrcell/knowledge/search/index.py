"""All passages of all sources, found by a question.

An index is a folder::

    index.json         how many passages, whose vectors, the sha256 of every file
    passages.arrow     the passages with their addresses, memory-mapped
    words/ fragments/  BM25 weights of their words and of parts of words, by `bm25s`: arrays and JSON, memory-mapped
    vectors.npy        a unit vector each, float32 (passage, dim), memory-mapped; only when built with an encoder

Nothing in it can run. It is written whole or not at all, also when passages are added.
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
    """A passage that answers a question."""

    evidence: Evidence
    score: float
    """The sum of `fuse`; it compares passages of one search, and no more."""
    bm25_rank: int | None
    """From 1 on; None when it shares no word with the question or stands too low."""
    fragment_rank: int | None
    dense_rank: int | None


class PassageIndex:
    """Passages with what is needed to find them; made by `build`, read by `open`."""

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
        """Make an index in ``folder``, in the place of an older one; without ``embedder`` it compares words alone.

        Raises
        ------
        InputError
            If there are no passages, or ``folder`` is something else than an index.
        """
        folder = Path(folder)
        must_be_replaceable(folder)
        new = _once(passages, set())
        first = next(new, None)
        if first is None:
            raise InputError("There are no passages to build an index of. Are the sources empty, or filtered away?")
        write_index(folder, None, chain([first], new), embedder, progress)
        return cls.open(folder, embedder, check=False)

    @classmethod
    def open(cls, folder: str | Path, embedder: TextEmbedder | None = None, *, check: bool = True) -> Self:
        """Map the index in ``folder``. Without ``embedder`` its vectors lie idle, and words alone are compared.

        ``check`` reads all files once to compare their sha256; without it only sizes are compared.

        Raises
        ------
        InputError
            If there is no index, it is damaged, or its vectors are another encoder's.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, check=check)
        if embedder is not None and manifest.embedder != embedder.name:
            has = f"vectors of '{manifest.embedder}'" if manifest.embedder else "no vectors"
            raise InputError(
                f"The index in {folder} has {has}, not of '{embedder.name}'. Build it again with that one."
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
        """Name the sources that have passages here, sorted."""
        return self._files.passages.sources()

    def add(self, passages: Iterable[Evidence], progress: Progress | None = None) -> int:
        """Add the passages that are not here yet, and return how many; those here keep their vectors and their places.

        Equal source, record and words make it the same passage. How rare a word is depends on all passages, so all
        weights of words are computed anew, from counts that were kept; the answers are those of an index built at once.

        Raises
        ------
        InputError
            If the index has vectors, but was opened without the encoder that makes more of them.
        """
        new = _once(passages, self._files.passages.keys())
        first = next(new, None)
        if first is None:
            return 0
        if self._files.vectors is not None and self._embedder is None:
            raise InputError(f"The index in {self.folder} has vectors: open it with its encoder to add passages.")
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
        """Find the ``top`` passages that answer ``query``, the best first.

        Parameters
        ----------
        query
            Words, a name or a sentence; blank finds nothing. Several phrasings of one question, such as a term's name and
            its `okrcell.knowledge.neighbourhood.questions`, are asked together and weigh alike.
        sources
            Only passages of these sources (`Evidence.source`).
        about
            Only passages that tell of one of these ontology terms (see `okrcell.knowledge.neighbourhood`); passages that
            name no term, such as plain abstracts, are then left out.
        weights
            How the ways of searching are weighed against each other; those of weight 0 are not done at all.
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
        """Rank by each way of searching and each phrasing; the phrasings share a way's weight."""
        rankings: list[tuple[str, Ranking]] = []
        for by, weight in (("words", weights.words), ("fragments", weights.fragments)):
            for phrasing in phrasings if weight > 0 else ():
                score = self._files.searches[by].scores(phrasing)
                shared = score > 0 if allowed is None else allowed & (score > 0)
                rankings.append((by, Ranking(best(score, weights.depth, shared), weight / len(phrasings))))
        if weights.meaning > 0 and self._files.vectors is not None and self._embedder is not None:
            # One vector at a time: for so few, a product of matrices would first copy all the passages' vectors.
            for vector in self._embedder.embed_texts(phrasings):
                # One thread: an encoder's threads that wait in busy loops would slow those of a product several times.
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
    """Give the best rank that a passage has in each way of searching, over all phrasings."""
    seen = [(way, rank) for way, rank in zip(ways, ranks, strict=True) if rank]
    return [
        min((rank for way, rank in seen if way == each), default=None) for each in ("words", "fragments", "meaning")
    ]


def _once(passages: Iterable[Evidence], known: set[PassageKey]) -> Iterator[Evidence]:
    """Let the passages through that are not known, each once, in their order; ``known`` grows by them."""
    for passage in passages:
        key = key_of(passage)
        if key not in known:
            known.add(key)
            yield passage
