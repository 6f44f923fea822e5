"""Antonyms and comparisons in a text: central or peripheral, more or less."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from okrcell.texts.screening.mentions import WordToken, stem
from okrcell.descriptions.negation import is_negated
from okrcell.descriptions.lexicon import CLAUSE_BOUNDARIES, word_set

AntonymPair = tuple[tuple[str, ...], tuple[str, ...]]
"""Word beginnings of two opposite meanings."""

ANTONYMS: tuple[AntonymPair, ...] = (
    (tuple(word_set("centr center middle")), tuple(word_set("peripher edge margin"))),
    (
        tuple(word_set("deposit secret produc product synthes synthet releas generat form express make made lay laid")),
        tuple(word_set("resorb resorpt absor degrad remov digest destroy destruct break breakdown dissol clear cleav")),
    ),
)
"""Word beginnings per pair of opposites, used to read the evidence. Sentences are rejected only by `CLEAR_ANTONYMS`."""
CLEAR_ANTONYMS: tuple[AntonymPair, ...] = (
    ANTONYMS[0],
    (tuple(word_set("deposit secret produc")), tuple(word_set("resorb resorpt degrad remov break breakdown"))),
)
"""Subset of `ANTONYMS` that is unambiguous enough to reject a sentence that contradicts the evidence."""
MAX_COMPARISON_WORDS = 8
"""Maximum number of words between "more" and its "than"."""


@dataclass(frozen=True)
class Comparison:
    """A comparison: more or less of a quality than something else."""

    is_more: bool
    quality: str
    """Stem of the word after "more" or "less"."""
    reference: frozenset[str]
    """Stems of the words after "than"; empty without "than"."""

    def contradicts(self, other: "Comparison") -> bool:
        """Whether both cannot be true: "less sensitive than cones", "more sensitive than cones"."""
        same_reference = not self.reference or not other.reference or not self.reference.isdisjoint(other.reference)
        return self.quality == other.quality and self.is_more != other.is_more and same_reference


def find_antonyms(words: Sequence[WordToken], table: Sequence[AntonymPair] = ANTONYMS) -> frozenset[tuple[int, int]]:
    """Return the affirmed meanings as pairs (row in the table, side 0 or 1)."""
    return frozenset(
        (row, side)
        for index, word in enumerate(words)
        for row, pair in enumerate(table)
        for side, prefixes in enumerate(pair)
        if word.norm.startswith(prefixes) and not is_negated(words, index, 5)
    )


def find_comparisons(words: Sequence[WordToken]) -> Iterator[Comparison]:
    """Yield the comparisons with "more" or "less"."""
    for index, word in enumerate(words[:-1]):
        if word.norm not in ("more", "less"):
            continue
        rest = [following.norm for following in words[index + 1 : index + 2 + MAX_COMPARISON_WORDS]]
        end = next((i for i, norm in enumerate(rest) if norm in CLAUSE_BOUNDARIES), len(rest))
        than_offset = rest.index("than", 0, end) if "than" in rest[:end] else len(rest)
        reference_words = [following.norm for following in words[index + 2 + than_offset : index + 5 + than_offset]]
        end = next(
            (i for i, norm in enumerate(reference_words) if norm in CLAUSE_BOUNDARIES or norm == ","),
            len(reference_words),
        )
        reference = frozenset(
            stem(norm) for norm in reference_words[:end] if len(norm) > 2 and norm not in _COMPARISON_STOPWORDS
        )
        yield Comparison(word.norm == "more", stem(rest[0]), reference)


_COMPARISON_STOPWORDS = word_set("the are does other any all most those that cell")
