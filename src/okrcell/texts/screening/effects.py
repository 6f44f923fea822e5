"""What is said to raise or lower what."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from okrcell.texts.screening.mentions import Word, stem
from okrcell.texts.screening.polarity import is_denied
from okrcell.texts.screening.turning_words import ENDS, LOWERS, RAISES, REGULATES, SUBJECTS, listed

BEFORE, AHEAD = 6, 12
"""How many words around a verb tell what it is about."""


@dataclass(frozen=True)
class Effect:
    """One thing said to raise or lower another."""

    verb: str
    raises: bool
    about: frozenset[str]
    """The words around the verb, by their stems."""
    upon: frozenset[str]
    """The next words after it, by their stems."""


def effects(words: Sequence[Word]) -> Iterator[Effect]:
    """Find what is said to be raised ("activates", "promotes") or lowered ("inhibits", "negative regulator of")."""
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
    """Gather the stems of what is said to be regulated, by verbs that do not say which way."""
    return frozenset(
        found
        for place, word in enumerate(words)
        if word.norm.startswith(REGULATES) and _direction(words, place - 1) is None
        for found in _named(_statement(words[place + 1 : place + 1 + AHEAD]))
    )


def _statement(words: Sequence[Word]) -> Sequence[Word]:
    """Cut at the end of a statement; what stands in brackets belongs to it: "the hormone (AMH) gene"."""
    end = next((at for at, word in enumerate(words) if word.norm in (".", ";")), len(words))
    return words[:end]


def _named(words: Sequence[Word]) -> frozenset[str]:
    return frozenset(stem(word.norm) for word in words if len(word.norm) > 2 and word.norm not in _LITTLE)


_LITTLE = listed("and the for from with that this into its are was not but out via both other")


def _clause(words: Sequence[Word], place: int, reach: int) -> tuple[Word, ...]:
    """Walk from a verb to the end of its clause, ``reach`` words ahead (or back, if negative)."""
    step = 1 if reach > 0 else -1
    found: list[Word] = []
    at = place + step
    while 0 <= at < len(words) and len(found) < abs(reach) and words[at].norm not in ENDS:
        another = words[at].norm == "," and at + 1 < len(words) and words[at + 1].norm in SUBJECTS
        if another or _direction(words, at) is not None:
            break  # what another verb does is not this one's
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
        return None  # "T cell activation", "an inhibitory receptor": what is done, not that it is done
    if norm.endswith(("ory", "ment")):
        return None
    if norm.startswith(RAISES):
        return True
    return False if norm.startswith(LOWERS) else None
