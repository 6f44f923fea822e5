"""Expand the abbreviations of a label in all plausible ways."""

import math
from dataclasses import dataclass
from itertools import islice, product

from okrcell.knowledge.matching.abbreviations import POPULATIONS
from okrcell.knowledge.matching.labels import in_capitals
from okrcell.knowledge.matching.meaning import SILENT, meaning
from okrcell.knowledge.matching.word_index import WordIndex

MOST = 12
"""Maximum number of readings of one label."""


@dataclass(frozen=True)
class WrittenOut:
    """One reading of a label."""

    text: str
    """All words in their order."""
    words: frozenset[str]
    """Words used for matching."""
    credit: float
    """Product of the confidences of its expansions, in [0, 1]."""
    expanded: bool
    """Whether any abbreviation was expanded."""
    doubted: frozenset[str]
    """Words that are derived from letters alone."""


def written_out(label: str, index: WordIndex) -> list[WrittenOut]:
    """Return the readings of ``label``, with the most likely expansion of each word first."""
    words = meaning(label)
    capitals = in_capitals(label)
    ways: list[WrittenOut] = []
    for chosen in islice(product(*(_options(word, index, capitals) for word in words)), MOST):
        told = frozenset(word for some, *_ in chosen for word in some) - SILENT
        expanded = any(some != (word,) for (some, *_), word in zip(chosen, words, strict=True))
        alone = next(iter(told)) if len(told) == 1 else ""
        if index.home.prefix == "CL" and alone in POPULATIONS:
            told, expanded = frozenset(POPULATIONS[alone].split()), True
        text = " ".join(word for some, *_ in chosen for word in some)
        doubted = frozenset(word for some, _, doubtful in chosen if doubtful for word in some) - SILENT
        ways.append(WrittenOut(text, told, math.prod(credit for _, credit, _ in chosen), expanded, doubted))
    return ways


_Option = tuple[tuple[str, ...], float, bool]


def _options(word: str, index: WordIndex, capitals: frozenset[str]) -> list[_Option]:
    if word in index.short:
        also: list[_Option] = [((word,), 0.9, False)] if index.with_word(word) else []
        return [(index.short[word], 0.98, False), *also]
    if word in SILENT or len(word) < 2 or index.abbreviations.common(word):
        return [((word,), 1.0, False)]
    explained = index.abbreviations.explain(word, capitals=word in capitals)
    others = [(one.words, one.credit, one.doubtful) for one in explained]
    if index.abbreviations.knows(word):
        return [((word,), 1.0, False), *others]
    return [*others, ((word,), 0.9, False)]
