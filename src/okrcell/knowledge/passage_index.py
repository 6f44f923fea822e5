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
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from okrcell.errors import InputError
from okrcell.evidence import Evidence, TextEmbedder
from okrcell.knowledge.passage_store import (
    EmbeddingProgress,
    MappedIndex,
    PassageKey,
    check_replaceable,
    damaged_index_error,
    map_index,
    passage_key,
    read_manifest,
    write_index,
)
from okrcell.settings import Settings


class FusionSettings(Settings):
    """Weights of the search methods; tuned on definitions (``docs/results/retrieval.md``)."""

    words: Annotated[float, Field(ge=0)] = 0.3
    """Weight of BM25 over words."""
    fragments: Annotated[float, Field(ge=0)] = 0.3
    """Weight of BM25 over character n-grams, which relate "osteocyte" and "osteoblast"."""
    meaning: Annotated[float, Field(ge=0)] = 0.4
    """Weight of the dense vectors of a text encoder."""
    k: Annotated[float, Field(ge=0)] = 3.0
    """Constant of ``1 / (k + rank)``: a larger value flattens the ranks. The usual value 60 was worse here."""
    depth: Annotated[int, Field(ge=1)] = 200
    """Number of passages of each ranking that are used; lower ranks score 0."""


class Ranking(NamedTuple):
    """Passage indices in the order of one search method, best first, and the weight of the method."""

    indices: NDArray[np.int64]
    weight: float


class FusedRanking(NamedTuple):
    """Result of the fusion of several rankings."""

    indices: NDArray[np.int64]
    """Passage indices, best first."""
    score: NDArray[np.float64]
    """Score of each of `indices`; at most the sum of the weights divided by ``k + 1``."""
    rank: NDArray[np.int64]
    """Rank of each passage in each ranking, (passage, ranking), starting at 1; 0 if it is not in the ranking."""


def fuse_rankings(rankings: Sequence[Ranking], k: float) -> FusedRanking:
    """Sum ``weight / (k + rank)`` over the rankings that contain a passage (reciprocal-rank fusion, Cormack et al. 2009).

    Ranks start at 1. Ties are ordered by the smaller index, so the result is deterministic.
    """
    indices = np.unique(np.concatenate([ranking.indices for ranking in rankings] or [np.empty(0, dtype=np.int64)]))
    rank = np.zeros((len(indices), len(rankings)), dtype=np.int64)
    score = np.zeros(len(indices))
    for column, (ranked, weight) in enumerate(rankings):
        rows = np.searchsorted(indices, ranked)
        rank[rows, column] = np.arange(1, len(ranked) + 1)
        score[rows] += weight / (k + rank[rows, column])
    order = np.lexsort((indices, -score))
    return FusedRanking(indices[order].astype(np.int64), score[order], rank[order])


def top_indices(score: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Return the indices of the ``depth`` highest scores, highest first; ties are ordered by the smaller index.

    If ``allowed`` is given, only indices where it is true are considered.
    """
    indices = np.arange(len(score)) if allowed is None else np.flatnonzero(allowed)
    candidate_scores = score if allowed is None else score[indices]
    if depth < len(candidate_scores):
        above_cutoff = np.flatnonzero(candidate_scores >= np.partition(candidate_scores, -depth)[-depth])
        indices, candidate_scores = indices[above_cutoff], candidate_scores[above_cutoff]
    return indices[np.lexsort((indices, -candidate_scores))][:depth]


class PassageHit(NamedTuple):
    """Search result."""

    evidence: Evidence
    score: float
    """Fused score (see `fuse_rankings`), comparable within one search only."""
    bm25_rank: int | None
    """Rank by words, starting at 1; None if no word is shared or the rank is below the search depth."""
    ngram_rank: int | None
    """Rank by character n-grams; None as above."""
    dense_rank: int | None
    """Rank by vectors; None as above."""


class PassageIndex:
    """Passages with their search structures; created by `build`, loaded by `open`."""

    def __init__(self, folder: Path, files: MappedIndex, embedder: TextEmbedder | None) -> None:
        self.folder, self._files, self._embedder = folder, files, embedder

    @classmethod
    def build(
        cls,
        folder: str | Path,
        passages: Iterable[Evidence],
        embedder: TextEmbedder | None = None,
        progress: EmbeddingProgress | None = None,
    ) -> Self:
        """Build an index in ``folder``, replacing an older one; without ``embedder`` it has BM25 only.

        Raises
        ------
        InputError
            If there are no passages, or ``folder`` exists and is not an index.
        """
        folder = Path(folder)
        check_replaceable(folder)
        new_passages = _new_passages(passages, set())
        first_passage = next(new_passages, None)
        if first_passage is None:
            raise InputError("There are no passages to index. Check that the sources are not empty or filtered out.")
        write_index(folder, None, chain([first_passage], new_passages), embedder, progress)
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
            contents = f"vectors of '{manifest.embedder}'" if manifest.embedder else "no vectors"
            raise InputError(
                f"The index in {folder} has {contents}, not of '{embedder.name}'. Build it again with that encoder."
            )
        try:
            files = map_index(folder, manifest)
        except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
            raise damaged_index_error(folder, next(iter(str(error).splitlines()), type(error).__name__)) from None
        return cls(folder, files, embedder)

    def __len__(self) -> int:
        return len(self._files.passages)

    def __getitem__(self, index: int) -> Evidence:
        return self._files.passages[range(len(self))[index]]

    def sources(self) -> tuple[str, ...]:
        """Return the names of all sources in the index, sorted."""
        return self._files.passages.sources()

    def add(self, passages: Iterable[Evidence], progress: EmbeddingProgress | None = None) -> int:
        """Add new passages and return their number; existing passages keep their vectors and indices.

        Passages with equal source, record and text are the same. All BM25 weights are recomputed from the stored counts,
        because the document frequencies change; the result equals an index built from all passages.

        Raises
        ------
        InputError
            If the index has vectors, but was opened without its encoder.
        """
        new_passages = _new_passages(passages, self._files.passages.keys())
        first_passage = next(new_passages, None)
        if first_passage is None:
            return 0
        if self._files.vectors is not None and self._embedder is None:
            raise InputError(f"The index in {self.folder} has vectors; open it with its encoder to add passages.")
        n_added = write_index(self.folder, self._files, chain([first_passage], new_passages), self._embedder, progress)
        self._files = type(self).open(self.folder, self._embedder, check=False)._files
        return n_added

    def search(
        self,
        query: str | Sequence[str],
        top: int = 5,
        *,
        sources: Iterable[str] | None = None,
        term_ids: frozenset[str] | None = None,
        weights: FusionSettings | None = None,
    ) -> tuple[PassageHit, ...]:
        """Return the ``top`` passages for ``query``, best first.

        Parameters
        ----------
        query
            Words, a name or a sentence; blank text returns nothing. Several phrasings of one query, such as
            `okrcell.ontology.relations.search_queries` of a term, are searched together with equal weight.
        top
            Maximum number of passages.
        sources
            Restrict the search to these sources (`Evidence.source`).
        term_ids
            Restrict the search to passages about one of these ontology terms. Passages without terms, such as plain
            abstracts, are then left out.
        weights
            Weights of the search methods; methods of weight 0 are skipped.
        """
        weights = weights or FusionSettings()
        phrasings = [phrasing for phrasing in ([query] if isinstance(query, str) else query) if phrasing.strip()]
        if not phrasings:
            return ()
        rankings = self._rankings(phrasings, weights, self._allowed(sources, term_ids))
        fused = fuse_rankings([ranking for _, ranking in rankings], weights.k)
        methods = [method for method, _ in rankings]
        return tuple(
            PassageHit(self._files.passages[int(index)], float(score), *_best_ranks(methods, ranks.tolist()))
            for index, score, ranks in zip(fused.indices[:top], fused.score[:top], fused.rank[:top], strict=True)
        )

    def _rankings(
        self, phrasings: list[str], weights: FusionSettings, allowed: NDArray[np.bool_] | None
    ) -> list[tuple[str, Ranking]]:
        """Rank by each search method and phrasing; the weight of a method is divided among the phrasings."""
        rankings: list[tuple[str, Ranking]] = []
        for method, weight in (("words", weights.words), ("fragments", weights.fragments)):
            for phrasing in phrasings if weight > 0 else ():
                score = self._files.searches[method].scores(phrasing)
                candidates = score > 0 if allowed is None else allowed & (score > 0)
                rankings.append(
                    (method, Ranking(top_indices(score, weights.depth, candidates), weight / len(phrasings)))
                )
        if weights.meaning > 0 and self._files.vectors is not None and self._embedder is not None:
            # One vector at a time: a matrix product would first copy the vectors of all passages.
            for vector in self._embedder.embed_texts(phrasings):
                # One thread: busy-waiting threads of the encoder would slow down a multi-threaded product several times.
                with _blas_controller().limit(limits=1, user_api="blas"):
                    cosines = self._files.vectors @ vector
                indices = top_indices(cosines, weights.depth, allowed)
                rankings.append(("meaning", Ranking(indices, weights.meaning / len(phrasings))))
        return rankings

    def _allowed(self, sources: Iterable[str] | None, term_ids: frozenset[str] | None) -> NDArray[np.bool_] | None:
        sources = [sources] if isinstance(sources, str) else sources
        masks = [self._files.passages.source_mask(sources)] if sources is not None else []
        masks += [self._files.passages.term_mask(term_ids)] if term_ids is not None else []
        return np.logical_and.reduce(masks) if masks else None


@cache
def _blas_controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _best_ranks(methods: list[str], ranks: list[int]) -> list[int | None]:
    """Return the best rank of a passage in each search method, over all phrasings."""
    method_ranks = [(method, rank) for method, rank in zip(methods, ranks, strict=True) if rank]
    return [
        min((rank for method, rank in method_ranks if method == wanted_method), default=None)
        for wanted_method in ("words", "fragments", "meaning")
    ]


def _new_passages(passages: Iterable[Evidence], known_keys: set[PassageKey]) -> Iterator[Evidence]:
    """Yield the passages whose keys are not in ``known_keys``, each once, and add their keys to ``known_keys``."""
    for passage in passages:
        key = passage_key(passage)
        if key not in known_keys:
            known_keys.add(key)
            yield passage
