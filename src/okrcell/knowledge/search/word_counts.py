"""How often every word stands in every passage, and what that weighs."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class WordCounts(NamedTuple):
    """For every word the passages that have it, one word after the other (compressed sparse columns)."""

    start: NDArray[np.int64]
    """Where each word's passages begin in the two lists below, (word + 1,)."""
    passage: NDArray[np.int32]
    """Passages, ascending within a word."""
    times: NDArray[np.int32]
    """How often the word stands in the passage."""
    length: NDArray[np.int32]
    """Words of each passage, (passage,)."""


def count_words(split: Iterable[list[str]], vocabulary: dict[str, int], former: WordCounts | None = None) -> WordCounts:
    """Count the words of new passages and join them to ``former`` counts.

    Words that are new take the next numbers in ``vocabulary``, which is changed; the passages count on from the former.
    """
    words: list[int] = []
    lengths: list[int] = []
    for passage in split:
        words.extend([vocabulary.setdefault(word, len(vocabulary)) for word in passage])
        lengths.append(len(passage))
    before = 0 if former is None else len(former.length)
    length = np.array(lengths, dtype=np.int32)
    passages = before + len(lengths)
    place = np.repeat(np.arange(before, passages, dtype=np.int64), length)
    # A word and a passage as one number, which sorts by word and then by passage.
    pair, count = np.unique(np.array(words, dtype=np.int64) * passages + place, return_counts=True)
    if former is not None:
        word = np.repeat(np.arange(len(former.start) - 1, dtype=np.int64), np.diff(former.start))
        pair = np.concatenate([word * passages + former.passage, pair])
        order = np.argsort(pair, kind="stable")
        pair, count = pair[order], np.concatenate([former.times, count])[order]
        length = np.concatenate([former.length, length])
    word, passage = np.divmod(pair, max(passages, 1))
    start = np.concatenate([[0], np.cumsum(np.bincount(word, minlength=len(vocabulary)))])
    return WordCounts(start.astype(np.int64), passage.astype(np.int32), count.astype(np.int32), length.astype(np.int32))


def weights(counts: WordCounts, saturation: float, length_weight: float) -> NDArray[np.float32]:
    """Weigh each word in each of its passages by BM25 as Lucene does.

    ``idf * tf / (k1 * (1 - b + b * length / mean length) + tf)`` with ``idf = log(1 + (n - df + 0.5) / (df + 0.5))``.
    """
    passages, frequency = len(counts.length), np.diff(counts.start)
    rarity = np.log1p((passages - frequency + 0.5) / (frequency + 0.5))
    mean = max(float(counts.length.mean()), 1e-9) if passages else 1.0
    norm = saturation * (1 - length_weight + length_weight * counts.length / mean)
    count = counts.times.astype(np.float64)
    return (np.repeat(rarity, frequency) * count / (norm[counts.passage] + count)).astype(np.float32)
