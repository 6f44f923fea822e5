"""Direction of regulation in a text: what is increased, decreased or regulated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from okrcell.texts.screening.mentions import WordToken, stem
from okrcell.descriptions.negation import is_negated
from okrcell.descriptions.lexicon import (
    CLAUSE_BOUNDARIES,
    DECREASE_PREFIXES,
    INCREASE_PREFIXES,
    REGULATION_PREFIXES,
    SUBJECT_PRONOUNS,
    word_set,
)

CONTEXT_WORDS_BEFORE, CONTEXT_WORDS_AFTER = 6, 12
"""Number of words before and after a verb that are its context."""


@dataclass(frozen=True)
class Effect:
    """A statement that something increases or decreases something else."""

    verb: str
    increases: bool
    context: frozenset[str]
    """Stems of the words around the verb."""
    targets: frozenset[str]
    """Stems of the words directly after the verb."""


def find_effects(words: Sequence[WordToken]) -> Iterator[Effect]:
    """Yield statements of increase ("activates", "promotes") and decrease ("inhibits", "negative regulator of")."""
    for index, word in enumerate(words):
        increases = _direction(words, index)
        if increases is None:
            continue
        if is_negated(words, index, 3):
            increases = not increases
        context_words = (
            *_clause_words(words, index, -CONTEXT_WORDS_BEFORE),
            *_clause_words(words, index, CONTEXT_WORDS_AFTER),
        )
        context = frozenset(stem(neighbor.norm) for neighbor in context_words if len(neighbor.norm) > 3)
        yield Effect(word.norm, increases, context, _content_stems(_clause_words(words, index, CONTEXT_WORDS_BEFORE)))


def regulated_stems(words: Sequence[WordToken]) -> frozenset[str]:
    """Return the stems of the objects of verbs that state regulation without a direction."""
    return frozenset(
        target
        for index, word in enumerate(words)
        if word.norm.startswith(REGULATION_PREFIXES) and _direction(words, index - 1) is None
        for target in _content_stems(_statement_words(words[index + 1 : index + 1 + CONTEXT_WORDS_AFTER]))
    )


def _statement_words(words: Sequence[WordToken]) -> Sequence[WordToken]:
    """Truncate at the end of a statement; text in brackets belongs to it: "the hormone (AMH) gene"."""
    end = next((index for index, word in enumerate(words) if word.norm in (".", ";")), len(words))
    return words[:end]


def _content_stems(words: Sequence[WordToken]) -> frozenset[str]:
    return frozenset(stem(word.norm) for word in words if len(word.norm) > 2 and word.norm not in _EFFECT_STOPWORDS)


_EFFECT_STOPWORDS = word_set("and the for from with that this into its are was not but out via both other")


def _clause_words(words: Sequence[WordToken], start: int, max_distance: int) -> tuple[WordToken, ...]:
    """Return the words from a verb to the end of its clause, at most ``max_distance`` words ahead (backwards if negative)."""
    step = 1 if max_distance > 0 else -1
    clause: list[WordToken] = []
    index = start + step
    while 0 <= index < len(words) and len(clause) < abs(max_distance) and words[index].norm not in CLAUSE_BOUNDARIES:
        starts_new_clause = (
            words[index].norm == "," and index + 1 < len(words) and words[index + 1].norm in SUBJECT_PRONOUNS
        )
        if starts_new_clause or _direction(words, index) is not None:
            break  # the words of another verb do not belong to this one
        clause.append(words[index])
        index += step
    return tuple(clause)


def _direction(words: Sequence[WordToken], index: int) -> bool | None:
    if index < 0:
        return None
    norm = words[index].norm
    following = words[index + 1].norm if index + 1 < len(words) else ""
    if norm in ("positive", "negative", "positively", "negatively", "up", "down"):
        is_regulation = following.startswith(("regulat", "modulat", "control"))
        return norm.startswith(("positive", "up")) if is_regulation else None
    if norm in ("keep", "kept", "keeping", "hold", "held", "holding"):
        next_words = {word.norm for word in words[index + 1 : index + 5]}
        return None if next_words.isdisjoint(("from", "back")) else False
    if norm.endswith("ing") and following in ("hormone", "factor", "protein", "peptide", "cell"):
        return None  # "thyroid stimulating hormone" is a name
    if norm.endswith(("ation", "ion", "ive", "or")) and following not in ("of", "for"):
        return None  # "T cell activation", "an inhibitory receptor": a noun or adjective, no statement
    if norm.endswith(("ory", "ment")):
        return None
    if norm.startswith(INCREASE_PREFIXES):
        return True
    return False if norm.startswith(DECREASE_PREFIXES) else None
