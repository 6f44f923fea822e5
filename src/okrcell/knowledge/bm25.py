"""BM25 search over words and character n-grams."""

import re
from collections.abc import Callable, Iterable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from okrcell.ontology.ontology import normalize_name

PASSAGE_CHUNK_SIZE = 4096
"""Number of passages that are counted in one chunk."""
PAIR_CHUNK_SIZE = 1 << 20
"""Number of (word, passage) pairs that are weighted in one chunk."""
NGRAM_LENGTH = 4
"""Length of a character n-gram."""
K1, B = 1.5, 0.3
"""BM25 ``k1`` and ``b``; ``b`` is low because long definitions and abstracts are not padded."""
COUNTS_FILE, LENGTHS_FILE = "counts.npy", "lengths.npy"
_WORD = re.compile(r"[^\W_]+")
TokenizeFunction = Callable[[str], list[str]]


class WordCounts(NamedTuple):
    """Word counts as a sparse (passage, word) matrix in CSC format."""

    indptr: NDArray[np.int64]
    """Start of each word in the two arrays below, (word + 1,)."""
    indices: NDArray[np.int32]
    """Passage indices, ascending within a word."""
    data: NDArray[np.int32]
    """Count of the word in the passage."""
    lengths: NDArray[np.int32]
    """Number of words of each passage, (passage,)."""


def count_words(
    tokenized: Iterable[list[str]], vocabulary: dict[str, int], existing: WordCounts | None = None
) -> WordCounts:
    """Count the words of new passages and append them to ``existing`` counts.

    New words are added to ``vocabulary`` in place, with the next indices; passage indices continue those of ``existing``.
    Passages are processed in chunks of `PASSAGE_CHUNK_SIZE`.
    """
    chunks = [existing] if existing is not None else []
    passages = (
        np.array([vocabulary.setdefault(word, len(vocabulary)) for word in passage], dtype=np.int32)
        for passage in tokenized
    )
    while chunk := list(islice(passages, PASSAGE_CHUNK_SIZE)):
        chunks.append(_count_chunk(chunk, len(vocabulary)))
    return _concat_counts(chunks, len(vocabulary))


def _count_chunk(passages: list[NDArray[np.int32]], n_words: int) -> WordCounts:
    lengths = np.array([len(passage) for passage in passages], dtype=np.int32)
    passage_ids = np.repeat(np.arange(len(passages), dtype=np.int64), lengths)
    # Word and passage in one integer, so that sorting orders by word, then by passage.
    pair = np.concatenate(passages).astype(np.int64) * len(passages) + passage_ids
    pair, count = np.unique(pair, return_counts=True)
    word, passage = np.divmod(pair, len(passages))
    indptr = _indptr(np.bincount(word, minlength=n_words))
    return WordCounts(indptr, passage.astype(np.int32), count.astype(np.int32), lengths)


def _concat_counts(chunks: list[WordCounts], n_words: int) -> WordCounts:
    """Concatenate chunks; the passages of each word keep the order of the chunks."""
    frequency = np.zeros(n_words, dtype=np.int64)
    for chunk in chunks:
        frequency[: len(chunk.indptr) - 1] += np.diff(chunk.indptr)
    indptr = _indptr(frequency)
    indices, data = np.empty(indptr[-1], dtype=np.int32), np.empty(indptr[-1], dtype=np.int32)
    next_free, n_passages = indptr[:-1].copy(), 0
    for chunk in chunks:
        chunk_frequency = np.diff(chunk.indptr)
        n_chunk_words = len(chunk_frequency)
        target = np.arange(len(chunk.indices)) + np.repeat(
            next_free[:n_chunk_words] - chunk.indptr[:-1], chunk_frequency
        )
        indices[target], data[target] = chunk.indices + np.int32(n_passages), chunk.data
        next_free[:n_chunk_words] += chunk_frequency
        n_passages += len(chunk.lengths)
    lengths = np.concatenate([np.zeros(0, dtype=np.int32), *(chunk.lengths for chunk in chunks)])
    return WordCounts(indptr, indices, data, lengths)


def _indptr(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])


def bm25_weights(counts: WordCounts, k1: float, b: float) -> NDArray[np.float32]:
    """BM25 weight (Lucene variant) of each word in each of its passages, float32, aligned with ``counts.passage``.

    ``idf * tf / (k1 * (1 - b + b * length / mean length) + tf)`` with ``idf = log(1 + (n - df + 0.5) / (df + 0.5))``.
    """
    n_passages, frequency = len(counts.lengths), np.diff(counts.indptr)
    idf = np.log1p((n_passages - frequency + 0.5) / (frequency + 0.5))
    mean_length = max(float(counts.lengths.mean()), 1e-9) if n_passages else 1.0
    norm = k1 * (1 - b + b * counts.lengths / mean_length)
    weight = np.empty(len(counts.indices), dtype=np.float32)
    # In chunks of words: the double-precision intermediates take four times the memory of the weights.
    boundaries = np.searchsorted(counts.indptr, np.arange(0, len(weight), PAIR_CHUNK_SIZE))
    for first, last in pairwise([*boundaries.tolist(), len(frequency)]):
        pairs = slice(int(counts.indptr[first]), int(counts.indptr[last]))
        counts_in_chunk = counts.data[pairs].astype(np.float64)
        chunk_idf = np.repeat(idf[first:last], frequency[first:last])
        weight[pairs] = chunk_idf * counts_in_chunk / (norm[counts.indices[pairs]] + counts_in_chunk)
    return weight


def split_words(text: str) -> list[str]:
    """Split a text into words normalised by `normalize_name`: "CD8+ T-cells" gives "cd8", "positive", "t", "cell"."""
    return _WORD.findall(normalize_name(text))


def char_ngrams(text: str) -> list[str]:
    """Split a text into the character 4-grams of its words; ``^`` marks the start of a word, short words stay whole."""
    return [
        padded[start : start + NGRAM_LENGTH]
        for padded in (f"^{word}" for word in split_words(text))
        for start in range(max(len(padded) - NGRAM_LENGTH, 0) + 1)
    ]


TOKENIZERS: dict[str, TokenizeFunction] = {"words": split_words, "fragments": char_ngrams}
"""Tokenisation functions of an index, by name."""


class BM25Search:
    """BM25 (Lucene variant) over passages, with precomputed weights in `bm25s`.

    The weights equal those of `bm25s.BM25.index`, but are computed from stored counts, so that passages can be added
    without reading the existing ones again.
    """

    def __init__(self, method: str, counts: WordCounts, scorer: Any) -> None:
        self._method, self._counts, self._scorer = method, counts, scorer

    @classmethod
    def build(cls, method: str, texts: Iterable[str], existing: Self | None = None) -> Self:
        """Compute the weights of existing passages and of ``texts``, in this order; ``method`` is a key of `TOKENIZERS`."""
        from bm25s import BM25

        vocabulary = dict(existing._scorer.vocab_dict) if existing else {}
        counts = count_words(map(TOKENIZERS[method], texts), vocabulary, existing._counts if existing else None)
        scorer: Any = BM25(k1=K1, b=B, method="lucene")
        scorer.vocab_dict, scorer.nonoccurrence_array = vocabulary, None
        scorer.scores = {
            "data": bm25_weights(counts, K1, B),
            "indices": counts.indices,
            "indptr": counts.indptr,
            "num_docs": len(counts.lengths),
        }
        return cls(method, counts, scorer)

    def save(self, folder: Path) -> None:
        """Write arrays (.npy without objects) and JSON to ``folder``."""
        folder.mkdir()
        self._scorer.save(folder, show_progress=False)
        np.save(folder / COUNTS_FILE, self._counts.data, allow_pickle=False)
        np.save(folder / LENGTHS_FILE, self._counts.lengths, allow_pickle=False)

    @classmethod
    def open(cls, method: str, folder: Path, n_passages: int) -> Self:
        """Map the files of `save` into memory, without pickle.

        Raises
        ------
        ValueError, OSError, KeyError, TypeError, AttributeError
            If the files are invalid or have another number of passages.
        """
        from bm25s import BM25

        scorer: Any = BM25.load(folder, mmap=True, allow_pickle=False, show_progress=False)
        data, lengths = (
            np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (COUNTS_FILE, LENGTHS_FILE)
        )
        if not scorer.scores["num_docs"] == len(lengths) == n_passages:
            raise ValueError(f"{folder.name} has {len(lengths):,} passages, not {n_passages:,}")
        counts = WordCounts(scorer.scores["indptr"], scorer.scores["indices"], data, lengths)
        return cls(method, counts, scorer)

    def scores(self, query: str) -> NDArray[np.float32]:
        """BM25 score of every passage, float32 (passage,); 0 if it shares no word with the query."""
        if token_ids := self._scorer.get_tokens_ids(TOKENIZERS[self._method](query)):
            return self._scorer.get_scores_from_ids(token_ids)
        return np.zeros(len(self._counts.lengths), dtype=np.float32)
