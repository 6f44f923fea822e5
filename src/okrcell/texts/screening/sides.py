"""Antonyms and comparisons in a text: central or peripheral, more or less."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from okrcell.texts.screening.mentions import Word, stem
from okrcell.texts.screening.polarity import is_denied
from okrcell.texts.screening.turning_words import ENDS, listed

Sides = tuple[tuple[str, ...], tuple[str, ...]]
"""Word beginnings of two opposite meanings."""

SIDES: tuple[Sides, ...] = (
    (tuple(listed("centr center middle")), tuple(listed("peripher edge margin"))),
    (
        tuple(listed("deposit secret produc product synthes synthet releas generat form express make made lay laid")),
        tuple(listed("resorb resorpt absor degrad remov digest destroy destruct break breakdown dissol clear cleav")),
    ),
)
"""Word beginnings per pair of opposites, used to read the evidence. Sentences are rejected only by `CLEAR`."""
CLEAR: tuple[Sides, ...] = (
    SIDES[0],
    (tuple(listed("deposit secret produc")), tuple(listed("resorb resorpt degrad remov break breakdown"))),
)
"""Subset of `SIDES` that is unambiguous enough to reject a sentence that contradicts the evidence."""
COMPARED = 8
"""Maximum number of words between "more" and its "than"."""


@dataclass(frozen=True)
class Comparison:
    """A comparison: more or less of a quality than something else."""

    more: bool
    quality: str
    """Stem of the word after "more" or "less"."""
    than: frozenset[str]
    """Stems of the words after "than"; empty without "than"."""

    def contradicts(self, other: "Comparison") -> bool:
        """Whether both cannot be true: "less sensitive than cones", "more sensitive than cones"."""
        same = not self.than or not other.than or not self.than.isdisjoint(other.than)
        return self.quality == other.quality and self.more != other.more and same


def sides(words: Sequence[Word], table: Sequence[Sides] = SIDES) -> frozenset[tuple[int, int]]:
    """Return the affirmed meanings as pairs (row in the table, side 0 or 1)."""
    return frozenset(
        (pair, side)
        for place, word in enumerate(words)
        for pair, both in enumerate(table)
        for side, beginnings in enumerate(both)
        if word.norm.startswith(beginnings) and not is_denied(words, place, 5)
    )


def comparisons(words: Sequence[Word]) -> Iterator[Comparison]:
    """Yield the comparisons with "more" or "less"."""
    for place, word in enumerate(words[:-1]):
        if word.norm not in ("more", "less"):
            continue
        rest = [following.norm for following in words[place + 1 : place + 2 + COMPARED]]
        end = next((at for at, norm in enumerate(rest) if norm in ENDS), len(rest))
        than = rest.index("than", 0, end) if "than" in rest[:end] else len(rest)
        other = [following.norm for following in words[place + 2 + than : place + 5 + than]]
        end = next((at for at, norm in enumerate(other) if norm in ENDS or norm == ","), len(other))
        names = frozenset(stem(norm) for norm in other[:end] if len(norm) > 2 and norm not in _LITTLE)
        yield Comparison(word.norm == "more", stem(rest[0]), names)


_LITTLE = listed("the are does other any all most those that cell")
