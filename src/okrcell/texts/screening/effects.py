"""Direction of regulation in a text: what is increased, decreased or regulated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from okrcell.texts.screening.mentions import Word, stem
from okrcell.texts.screening.polarity import is_denied
from okrcell.texts.screening.turning_words import ENDS, LOWERS, RAISES, REGULATES, SUBJECTS, listed

BEFORE, AHEAD = 6, 12
"""Number of words before and after a verb that are its context."""


@dataclass(frozen=True)
class Effect:
    """A statement that something increases or decreases something else."""

    verb: str
    raises: bool
    about: frozenset[str]
    """Stems of the words around the verb."""
    upon: frozenset[str]
    """Stems of the words directly after the verb."""


def effects(words: Sequence[Word]) -> Iterator[Effect]:
    """Yield statements of increase ("activates", "promotes") and decrease ("inhibits", "negative regulator of")."""
    for place, word in enumerate(words):
        raises = _direction(words, place)
        if raises is None:
            continue
        if is_denied(words, place, 3):
            raises = not raises
        around = (*_clause(words, place, -BEFORE), *_clause(words, place, AHEAD))
        about = frozenset(stem(near.norm) for near in around if len(near.norm) > 3)
        yield Effect(word.norm, raises, about, _named(_clause(words, place, BEFORE)))


def regulated(words: Sequence[Word]) -> frozenset[str]:
    """Return the stems of the objects of verbs that state regulation without a direction."""
    return frozenset(
        found
        for place, word in enumerate(words)
        if word.norm.startswith(REGULATES) and _direction(words, place - 1) is None
        for found in _named(_statement(words[place + 1 : place + 1 + AHEAD]))
    )


def _statement(words: Sequence[Word]) -> Sequence[Word]:
    """Truncate at the end of a statement; text in brackets belongs to it: "the hormone (AMH) gene"."""
    end = next((at for at, word in enumerate(words) if word.norm in (".", ";")), len(words))
    return words[:end]


def _named(words: Sequence[Word]) -> frozenset[str]:
    return frozenset(stem(word.norm) for word in words if len(word.norm) > 2 and word.norm not in _LITTLE)


_LITTLE = listed("and the for from with that this into its are was not but out via both other")


def _clause(words: Sequence[Word], place: int, reach: int) -> tuple[Word, ...]:
    """Return the words from a verb to the end of its clause, at most ``reach`` words ahead (backwards if negative)."""
    step = 1 if reach > 0 else -1
    found: list[Word] = []
    at = place + step
    while 0 <= at < len(words) and len(found) < abs(reach) and words[at].norm not in ENDS:
        another = words[at].norm == "," and at + 1 < len(words) and words[at + 1].norm in SUBJECTS
        if another or _direction(words, at) is not None:
            break  # the words of another verb do not belong to this one
        found.append(words[at])
        at += step
    return tuple(found)


def _direction(words: Sequence[Word], place: int) -> bool | None:
    if place < 0:
        return None
    norm = words[place].norm
    following = words[place + 1].norm if place + 1 < len(words) else ""
    if norm in ("positive", "negative", "positively", "negatively", "up", "down"):
        regulated = following.startswith(("regulat", "modulat", "control"))
        return norm.startswith(("positive", "up")) if regulated else None
    if norm in ("keep", "kept", "keeping", "hold", "held", "holding"):
        ahead = {word.norm for word in words[place + 1 : place + 5]}
        return None if ahead.isdisjoint(("from", "back")) else False
    if norm.endswith("ing") and following in ("hormone", "factor", "protein", "peptide", "cell"):
        return None  # "thyroid stimulating hormone" is a name
    if norm.endswith(("ation", "ion", "ive", "or")) and following not in ("of", "for"):
        return None  # "T cell activation", "an inhibitory receptor": a noun or adjective, no statement
    if norm.endswith(("ory", "ment")):
        return None
    if norm.startswith(RAISES):
        return True
    return False if norm.startswith(LOWERS) else None
