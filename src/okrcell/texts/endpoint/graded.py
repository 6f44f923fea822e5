"""Shortened versions of a text in whole sentences."""

import re
from collections.abc import Sequence

from okrcell.texts.sentences import capitalize_first

_WORD_PATTERN = re.compile(r"[^\W\d_]{1,6}|\d{1,2}|[^\w\s]|_")
_PIECES_PER_MATCH = 1.17
"""Word pieces of a BERT tokenizer per match of the pattern: the 95th percentile over biological texts."""

LENGTH_LIMITS = (254, 128, 64)
"""Maximum lengths in word pieces; an encoder with a limit of 256 uses two of them for special tokens."""


def estimate_n_pieces(text: str) -> int:
    """Estimate the number of word pieces of a text without a tokenizer; tends to overestimate."""
    return round(_PIECES_PER_MATCH * len(_WORD_PATTERN.findall(text)))


def shortened_texts(name: str, sentences: Sequence[str]) -> tuple[str, ...]:
    """Return the whole text, beginnings of at most `LENGTH_LIMITS` word pieces, and the name with the first sentence.

    Without a name, the last is the first sentence alone. Duplicates are removed; the result is empty without sentences.
    """
    if not sentences:
        return ()
    shorter = (" ".join(_leading_sentences(sentences, limit)) for limit in LENGTH_LIMITS)
    opening = f"{capitalize_first(name)}: {sentences[0]}" if name else sentences[0]
    return tuple(dict.fromkeys(text for text in (" ".join(sentences), *shorter, opening) if text))


def _leading_sentences(sentences: Sequence[str], limit: int) -> list[str]:
    selected: list[str] = []
    for sentence in sentences:
        limit -= estimate_n_pieces(sentence)
        if limit < 0:
            break
        selected.append(sentence)
    return selected
