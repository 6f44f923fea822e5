"""Word tokens, numbers and stems of a text; the type of a named-entity mention."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from okrcell.knowledge.naming import normalize_name

PUNCTUATION = frozenset(",;:.()[]")

_CD_MARKER = r"CD\d+[A-Z]*(?=(?:high|hi|low|lo|dim|neg|pos|int|bright)\b)"
_TOKEN = re.compile(rf"{_CD_MARKER}|[^\W_]+|(?<=\w)\+|(?<=\w)[-−](?=$|[\s,/.;)]|CD\d)|[;:()\[\]]|[.,](?=\s|$)")
_MARKER_NAME = re.compile(r"CD\d+[A-Za-z]*|[A-Z][A-Z0-9]{2,}|[Ll]in")
_NUMBER = re.compile(r"(?<![\w.,-])\d+(?:[.,]\d+)*(?![\d]*[A-Za-z])")
_ROMAN_NUMERAL = re.compile(r"\b(?i:types?|class|grade|phase|layers?|stage|group)[ -](I{1,3}|IV|VI{0,3}|IX|X)\b")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9]+(?:(?:[ '-]|, )[A-Za-z0-9]+)*")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9]+|,")
_NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
    "eleven": "11", "twelve": "12", "hundred": "100", "thousand": "1000",
}  # fmt: skip
_ROMAN_VALUES = {
    "I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6", "VII": "7", "VIII": "8", "IX": "9", "X": "10",
}  # fmt: skip


_WORD_ENDINGS = (
    "izations", "ization", "isation", "ations", "ation", "ators", "ator", "ating", "ated", "ates", "ate", "ities",
    "ity", "ments", "ment", "ings", "ing", "ions", "ion", "ives", "ive", "ors", "or", "ies", "ied", "ers", "er", "ed",
    "es", "al", "ic", "ly", "y", "e",
)  # fmt: skip


@dataclass(frozen=True)
class Mention:
    """A named entity in a text."""

    text: str
    """Surface form in the text."""
    category: Literal["term", "gene", "code"]
    """code: letters and digits that are no known gene, such as "Th17" or "IgG2"."""
    start: int
    """Index of its first word."""
    stop: int
    """Index after its last word."""
    ids: frozenset[str]
    """Ontology term ids or gene symbols; several for an ambiguous name, none for a code."""


class WordToken(NamedTuple):
    """A word normalised by `normalize_name`, or a punctuation mark, with its character offsets in the text."""

    norm: str
    start: int
    end: int


@lru_cache(50_000)
def tokenize_words(text: str) -> tuple[WordToken, ...]:
    """Split a text into normalised words; "CD8+" becomes "cd8" and "positive", a plural its singular."""
    return tuple(_iter_words(text))


def normalize_words(name: str) -> list[str]:
    """Return the normalised words of a name, without offsets."""
    if _PLAIN_NAME.fullmatch(name):
        return [norm for word in _PLAIN_WORD.findall(name) for norm in (_normalize_word(word) or (word,))]
    return [word.norm for word in _iter_words(name)]


def find_numbers(text: str) -> frozenset[str]:
    """Return the quantities in a text: digits, number words from two on, and Roman numerals of types and classes.

    Digits that are part of a name (CD19, IL-2) are not quantities.
    """
    figures = {figure.replace(",", "") for figure in _NUMBER.findall(text)}
    roman_values = {_ROMAN_VALUES[figure] for figure in _ROMAN_NUMERAL.findall(text)}
    return frozenset(
        figures
        | roman_values
        | {_NUMBER_WORDS[word.norm] for word in tokenize_words(text) if word.norm in _NUMBER_WORDS}
    )


def stem(word: str) -> str:
    """Remove the ending of a word: "inhibited" and "inhibition" become "inhibit"."""
    for ending in _WORD_ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _iter_words(text: str) -> Iterator[WordToken]:
    previous = ""
    for token in _TOKEN.finditer(text):
        surface = token[0]
        if surface in PUNCTUATION:
            yield WordToken(surface, *token.span())
        elif surface == "+":
            yield WordToken("positive", *token.span())
        elif surface in "-−":
            if _MARKER_NAME.fullmatch(previous):
                yield WordToken("negative", *token.span())
        else:
            for norm in _normalize_word(surface):
                yield WordToken(norm, *token.span())
        previous = surface


@lru_cache(200_000)
def _normalize_word(word: str) -> tuple[str, ...]:
    return tuple(normalize_name(word).split())
