"""Shorter versions of a text, each of them whole sentences."""

import re
from collections.abc import Sequence

from okrcell.texts.sentences import capital

_PARTS = re.compile(r"[^\W\d_]{1,6}|\d{1,2}|[^\w\s]|_")
_PIECES_PER_PART = 1.17
"""So many word pieces of a BERT tokeniser has a biological text at most (95 of 100) for each match of the pattern."""

LIMITS = (254, 128, 64)
"""Word pieces; a text encoder that takes 256 spends two of them on marks."""


def pieces(text: str) -> int:
    """Guess how many word pieces a text has, rather too many than too few; no tokeniser is needed."""
    return round(_PIECES_PER_PART * len(_PARTS.findall(text)))


def graded(name: str, sentences: Sequence[str]) -> tuple[str, ...]:
    """Give the whole text, then ever shorter beginnings of it, and the thing's name with the first sentence.

    Without a name the last is the first sentence alone. Nothing comes twice; without sentences there is nothing.
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
