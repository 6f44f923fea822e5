"""BM25 search over words and character n-grams."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.naming import normalize_name
from okrcell.knowledge.search.word_counts import WordCounts, bm25_weights, count_words

NGRAM_LENGTH = 4
"""Length of a character n-gram."""
K1, B = 1.5, 0.3
"""BM25 ``k1`` and ``b``; ``b`` is low because long definitions and abstracts are not padded."""

COUNTS_FILE, LENGTHS_FILE = "counts.npy", "lengths.npy"

_WORD = re.compile(r"[^\W_]+")

TokenizeFunction = Callable[[str], list[str]]


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
