"""BM25 search over words and character n-grams."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.naming import normal_name
from okrcell.knowledge.search.word_counts import WordCounts, count_words, weights

LETTERS = 4
"""Length of a character n-gram."""
SATURATION, LENGTH_WEIGHT = 1.5, 0.3
"""BM25 ``k1`` and ``b``; ``b`` is low because long definitions and abstracts are not padded."""

COUNTS, LENGTHS = "counts.npy", "lengths.npy"

_WORD = re.compile(r"[^\W_]+")

Split = Callable[[str], list[str]]


def words(text: str) -> list[str]:
    """Split a text into words normalised by `normal_name`: "CD8+ T-cells" gives "cd8", "positive", "t", "cell"."""
    return _WORD.findall(normal_name(text))


def fragments(text: str) -> list[str]:
    """Split a text into the character 4-grams of its words; ``^`` marks the start of a word, short words stay whole."""
    return [
        marked[start : start + LETTERS]
        for marked in (f"^{word}" for word in words(text))
        for start in range(max(len(marked) - LETTERS, 0) + 1)
    ]


SPLITS: dict[str, Split] = {"words": words, "fragments": fragments}
"""Tokenisation functions of an index, by name."""


class WordSearch:
    """BM25 (Lucene variant) over passages, with precomputed weights in `bm25s`.

    The weights equal those of `bm25s.BM25.index`, but are computed from stored counts, so that passages can be added
    without reading the existing ones again.
    """

    def __init__(self, by: str, counts: WordCounts, scorer: Any) -> None:
        self._by, self._counts, self._scorer = by, counts, scorer

    @classmethod
    def build(cls, by: str, texts: Iterable[str], former: Self | None = None) -> Self:
        """Compute the weights of existing passages and of ``texts``, in this order; ``by`` is a key of `SPLITS`."""
        from bm25s import BM25

        vocabulary = dict(former._scorer.vocab_dict) if former else {}
        counts = count_words(map(SPLITS[by], texts), vocabulary, former._counts if former else None)
        scorer: Any = BM25(k1=SATURATION, b=LENGTH_WEIGHT, method="lucene")
        scorer.vocab_dict, scorer.nonoccurrence_array = vocabulary, None
        scorer.scores = {
            "data": weights(counts, SATURATION, LENGTH_WEIGHT),
            "indices": counts.passage,
            "indptr": counts.start,
            "num_docs": len(counts.length),
        }
        return cls(by, counts, scorer)

    def save(self, folder: Path) -> None:
        """Write arrays (.npy without objects) and JSON to ``folder``."""
        folder.mkdir()
        self._scorer.save(folder, show_progress=False)
        np.save(folder / COUNTS, self._counts.times, allow_pickle=False)
        np.save(folder / LENGTHS, self._counts.length, allow_pickle=False)

    @classmethod
    def open(cls, by: str, folder: Path, passages: int) -> Self:
        """Map the files of `save` into memory, without pickle.

        Raises
        ------
        ValueError, OSError, KeyError, TypeError, AttributeError
            If the files are invalid or have another number of passages.
        """
        from bm25s import BM25

        scorer: Any = BM25.load(folder, mmap=True, allow_pickle=False, show_progress=False)
        count, length = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (COUNTS, LENGTHS))
        if not scorer.scores["num_docs"] == len(length) == passages:
            raise ValueError(f"{folder.name} has {len(length):,} passages, not {passages:,}")
        counts = WordCounts(scorer.scores["indptr"], scorer.scores["indices"], count, length)
        return cls(by, counts, scorer)

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 score of every passage, float32 (passage,); 0 if it shares no word with the query."""
        if known := self._scorer.get_tokens_ids(SPLITS[self._by](question)):
            return self._scorer.get_scores_from_ids(known)
        return np.zeros(len(self._counts.length), dtype=np.float32)
