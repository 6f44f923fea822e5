"""Readings of an author label: its words with abbreviations expanded."""

import math
from dataclasses import dataclass
from itertools import islice, product

from okrcell.ontology.abbreviations import SINGLE_MARKER_TYPES
from okrcell.ontology.label_parsing import FILLER_WORDS, capitalized_words, normalize_words
from okrcell.ontology.name_index import NameIndex

MAX_READINGS = 12
"""Maximum number of readings of one label."""
_Expansion = tuple[tuple[str, ...], float, bool]


@dataclass(frozen=True)
class LabelReading:
    """One reading of a label."""

    text: str
    """All words in their order."""
    words: frozenset[str]
    """Words used for matching."""
    confidence: float
    """Product of the confidences of its expansions, in [0, 1]."""
    is_expanded: bool
    """Whether any abbreviation was expanded."""
    guessed_words: frozenset[str]
    """Words that are derived from letters alone."""


def expand_abbreviations(label: str, index: NameIndex) -> list[LabelReading]:
    """Return the readings of ``label``, with the most likely expansion of each word first."""
    words = normalize_words(label)
    capitalized = capitalized_words(label)
    readings: list[LabelReading] = []
    for options in islice(product(*(_expansions(word, index, capitalized) for word in words)), MAX_READINGS):
        content_words = frozenset(word for expansion, *_ in options for word in expansion) - FILLER_WORDS
        is_expanded = any(expansion != (word,) for (expansion, *_), word in zip(options, words, strict=True))
        single_word = next(iter(content_words)) if len(content_words) == 1 else ""
        if index.ontology.prefix == "CL" and single_word in SINGLE_MARKER_TYPES:
            content_words, is_expanded = frozenset(SINGLE_MARKER_TYPES[single_word].split()), True
        elif implied_words := _implied_type(content_words, index):
            content_words, is_expanded = content_words | implied_words, True
        text = " ".join(word for expansion, *_ in options for word in expansion)
        guessed_words = (
            frozenset(word for expansion, _, is_guess in options if is_guess for word in expansion) - FILLER_WORDS
        )
        readings.append(
            LabelReading(
                text, content_words, math.prod(confidence for _, confidence, _ in options), is_expanded, guessed_words
            )
        )
    return readings


def _implied_type(words: frozenset[str], index: NameIndex) -> frozenset[str]:
    """Return the cell type that the markers of a label without a cell type imply: a T cell of "CD8 Naive"."""
    markers = sorted(words & SINGLE_MARKER_TYPES.keys())
    if index.ontology.prefix != "CL" or not markers or index.heads(sorted(words - set(markers))):
        return frozenset()
    return frozenset(word for marker in markers[:1] for word in SINGLE_MARKER_TYPES[marker].split()) - words


def _expansions(word: str, index: NameIndex, capitalized: frozenset[str]) -> list[_Expansion]:
    if word in index.expansions:
        alternatives: list[_Expansion] = [((word,), 0.9, False)] if index.entries_with_word(word) else []
        return [(index.expansions[word], 0.98, False), *alternatives]
    if word in FILLER_WORDS or len(word) < 2 or index.abbreviations.is_common(word):
        return [((word,), 1.0, False)]
    expansions = index.abbreviations.expand(word, is_capitals=word in capitalized)
    alternatives_by_letters = [(expansion.words, expansion.confidence, expansion.is_guess) for expansion in expansions]
    if index.abbreviations.is_word(word):
        return [((word,), 1.0, False), *alternatives_by_letters]
    return [*alternatives_by_letters, ((word,), 0.9, False)]
