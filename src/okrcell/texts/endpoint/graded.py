"""Shortened versions of a text in whole sentences."""

import re
from collections.abc import Sequence

from okrcell.texts.sentences import capital

_PARTS = re.compile(r"[^\W\d_]{1,6}|\d{1,2}|[^\w\s]|_")
_PIECES_PER_PART = 1.17
"""Word pieces of a BERT tokenizer per match of the pattern: the 95th percentile over biological texts."""

LIMITS = (254, 128, 64)
"""Maximum lengths in word pieces; an encoder with a limit of 256 uses two of them for special tokens."""


def pieces(text: str) -> int:
    """Estimate the number of word pieces of a text without a tokenizer; tends to overestimate."""
    return round(_PIECES_PER_PART * len(_PARTS.findall(text)))


def graded(name: str, sentences: Sequence[str]) -> tuple[str, ...]:
    """Return the whole text, beginnings of at most `LIMITS` word pieces, and the name with the first sentence.

    Without a name, the last is the first sentence alone. Duplicates are removed; the result is empty without sentences.
    """
    if not sentences:
        return ()
    shorter = (" ".join(_first_that_fit(sentences, limit)) for limit in LIMITS)
    opening = f"{capital(name)}: {sentences[0]}" if name else sentences[0]
    return tuple(dict.fromkeys(text for text in (" ".join(sentences), *shorter, opening) if text))


def _first_that_fit(sentences: Sequence[str], limit: int) -> list[str]:
    kept: list[str] = []
    for sentence in sentences:
        limit -= pieces(sentence)
        if limit < 0:
            break
        kept.append(sentence)
    return kept
