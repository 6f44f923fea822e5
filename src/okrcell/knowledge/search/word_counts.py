"""Word counts of passages and their BM25 weights."""

from collections.abc import Iterable
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PASSAGES_AT_ONCE = 4096
"""Number of passages that are counted in one chunk."""
PAIRS_AT_ONCE = 1 << 20
"""Number of (word, passage) pairs that are weighted in one chunk."""


class WordCounts(NamedTuple):
    """Word counts as a sparse (passage, word) matrix in CSC format."""

    start: NDArray[np.int64]
    """Start of each word in the two arrays below, (word + 1,)."""
    passage: NDArray[np.int32]
    """Passage indices, ascending within a word."""
    times: NDArray[np.int32]
    """Count of the word in the passage."""
    length: NDArray[np.int32]
    """Number of words of each passage, (passage,)."""


def count_words(split: Iterable[list[str]], vocabulary: dict[str, int], former: WordCounts | None = None) -> WordCounts:
    """Count the words of new passages and append them to ``former`` counts.

    New words are added to ``vocabulary`` in place, with the next indices; passage indices continue those of ``former``.
    Passages are processed in chunks of `PASSAGES_AT_ONCE`.
    """
    portions = [former] if former is not None else []
    passages = (
        np.array([vocabulary.setdefault(word, len(vocabulary)) for word in passage], dtype=np.int32)
        for passage in split
    )
    while portion := list(islice(passages, PASSAGES_AT_ONCE)):
        portions.append(_count(portion, len(vocabulary)))
    return _joined(portions, len(vocabulary))


def _count(passages: list[NDArray[np.int32]], words: int) -> WordCounts:
    length = np.array([len(passage) for passage in passages], dtype=np.int32)
    place = np.repeat(np.arange(len(passages), dtype=np.int64), length)
    # Word and passage in one integer, so that sorting orders by word, then by passage.
    pair = np.concatenate(passages).astype(np.int64) * len(passages) + place
    pair, count = np.unique(pair, return_counts=True)
    word, passage = np.divmod(pair, len(passages))
    start = _running_sum(np.bincount(word, minlength=words))
    return WordCounts(start, passage.astype(np.int32), count.astype(np.int32), length)


def _joined(portions: list[WordCounts], words: int) -> WordCounts:
    """Concatenate chunks; the passages of each word keep the order of the chunks."""
    frequency = np.zeros(words, dtype=np.int64)
    for portion in portions:
        frequency[: len(portion.start) - 1] += np.diff(portion.start)
    start = _running_sum(frequency)
    passage, times = np.empty(start[-1], dtype=np.int32), np.empty(start[-1], dtype=np.int32)
    free, before = start[:-1].copy(), 0
    for portion in portions:
        here = np.diff(portion.start)
        known = len(here)
        to = np.arange(len(portion.passage)) + np.repeat(free[:known] - portion.start[:-1], here)
        passage[to], times[to] = portion.passage + np.int32(before), portion.times
        free[:known] += here
        before += len(portion.length)
    length = np.concatenate([np.zeros(0, dtype=np.int32), *(portion.length for portion in portions)])
    return WordCounts(start, passage, times, length)


def _running_sum(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(numbers, dtype=np.int64)])


def weights(counts: WordCounts, saturation: float, length_weight: float) -> NDArray[np.float32]:
    """BM25 weight (Lucene variant) of each word in each of its passages, float32, aligned with ``counts.passage``.

    ``idf * tf / (k1 * (1 - b + b * length / mean length) + tf)`` with ``idf = log(1 + (n - df + 0.5) / (df + 0.5))``.
    """
    passages, frequency = len(counts.length), np.diff(counts.start)
    rarity = np.log1p((passages - frequency + 0.5) / (frequency + 0.5))
    mean = max(float(counts.length.mean()), 1e-9) if passages else 1.0
    norm = saturation * (1 - length_weight + length_weight * counts.length / mean)
    weight = np.empty(len(counts.passage), dtype=np.float32)
    # In chunks of words: the double-precision intermediates take four times the memory of the weights.
    borders = np.searchsorted(counts.start, np.arange(0, len(weight), PAIRS_AT_ONCE))
    for first, last in pairwise([*borders.tolist(), len(frequency)]):
        some = slice(int(counts.start[first]), int(counts.start[last]))
        count = counts.times[some].astype(np.float64)
        rare = np.repeat(rarity[first:last], frequency[first:last])
        weight[some] = rare * count / (norm[counts.passage[some]] + count)
    return weight
