"""Affirmation and negation of words and entities in a text."""

from collections.abc import Iterator, Sequence

from okrcell.texts.screening.mentions import Word, stem
from okrcell.texts.screening.turning_words import (
    AFFIRMED,
    AFTER_NOT,
    BARELY,
    BE,
    CAUSES,
    DENIAL,
    GONE,
    LEVELS,
    LIMITS,
    NEUTRAL_NEGATIVE,
    PHRASES,
    RICHLY,
    SUFFIX,
    Sign,
)

_OF_KIND = frozenset({"affinity", "molecular", "density", "voltage", "threshold"})
"""Words after "low" that denote a category ("a low affinity receptor"), not an amount."""
REACH = 12
"""Maximum distance, in words, of a negation ahead and of a predicate ("... are absent") back."""


def sign_of(words: Sequence[Word], first: int, last: int) -> Sign:
    """Return the stated presence of the entity at ``words[first:last]``.

    In order of precedence: a suffix directly after it ("CD19-negative"), a predicate later in the clause ("CD3 and CD19
    are absent"), a negation before it in the clause ("lacks CD3 and CD19").
    """
    suffix = _suffix(words, last)
    denied = first > 0 and words[first - 1].norm in ("not", "non")
    if suffix is not None:
        return suffix if not denied else "present" if suffix == "absent" else "absent"
    before, verdict = _before(words, first), _verdict(words, last)
    if before == "absent" and verdict == "absent":
        return "present"  # "does not mean that CD19 is absent"
    closely = any(word.norm in DENIAL for word in words[max(0, first - 2) : first])
    if verdict == "present" and before == "absent" and not closely:
        return "present"  # "has no nucleus, and CD19 is expressed"
    return before if verdict is None or before != "present" else verdict


def denied_words(words: Sequence[Word], reach: int = 5) -> Iterator[int]:
    """Yield the indices of words within ``reach`` words after a negation, in its clause."""
    for place in range(len(words)):
        start = max(0, place - reach)
        if any(other.norm in DENIAL for other in words[start:place]) and is_denied(words, place, reach):
            yield place


def is_denied(words: Sequence[Word], place: int, reach: int = REACH) -> bool:
    """Whether a word is negated by a negation in its clause, at most ``reach`` words before it."""
    return _before(words, place, reach) == "absent"


def _affirms(norm: str) -> bool:
    return norm in AFFIRMED or stem(norm) in AFFIRMED


def _suffix(words: Sequence[Word], last: int) -> Sign | None:
    if last >= len(words) or words[last].norm not in SUFFIX:
        return None
    following = words[last + 1].norm if last + 1 < len(words) else ""
    if following in NEUTRAL_NEGATIVE or (words[last].norm in ("positive", "negative") and following == "for"):
        return None
    return SUFFIX[words[last].norm]


def _before(words: Sequence[Word], first: int, reach: int = REACH) -> Sign:
    """Return the sign set by the words before ``first``: a negation holds until an affirmation or the clause end."""
    sign: Sign = "present"
    since = -9
    for place in range(max(0, first - reach), first):
        norm = words[place].norm
        following = words[place + 1].norm if place + 1 < len(words) else ""
        if norm in LIMITS:
            sign = "present"
        elif norm == "not" and following in ("only", "just", "merely"):
            continue
        elif (norm, following) in PHRASES:
            sign, since = "absent", place
        elif norm == "non":
            sign = "absent" if place == first - 1 else sign
        elif norm in DENIAL and not _is_a_cause(words, place):
            doubled = sign == "absent" and place - since <= 2 and norm not in ("not", "nor", "no")
            sign, since = ("present" if doubled else "absent"), place
        elif norm in BARELY and sign != "absent" and following in LEVELS:
            sign, since = "low", place
        elif norm in RICHLY and sign != "absent" and following in LEVELS:
            sign, since = "high", place
        elif _affirms(norm) and place - since > 2 and following not in DENIAL:
            sign = "present"
    return sign


def _is_a_cause(words: Sequence[Word], place: int) -> bool:
    """Whether a loss is the subject of a causal verb: "whose loss causes fibrosis" is no negation."""
    reach = {"loss": 8, "lost": 2}.get(words[place].norm, 0)
    for word in words[place + 1 : place + 1 + reach]:
        if word.norm in LIMITS:
            break
        if stem(word.norm) in CAUSES:
            return True
    return False


def _verdict(words: Sequence[Word], last: int) -> Sign | None:
    """Return the sign of a predicate after ``last``: "is absent", "are not expressed", "expression is low"."""
    for place in range(last, min(len(words) - 1, last + REACH)):
        norm, following = words[place].norm, words[place + 1].norm
        if norm in LIMITS or (norm == "and" and (following in BE or _affirms(following))):
            break
        if norm == "negative" and following == "marker":
            return "absent"
        if norm in BE:
            rest = [word.norm for word in words[place + 1 : place + 4]]
            if following == "not" and any(word in AFTER_NOT for word in rest):
                return "absent"
            if any(word in GONE for word in rest[:2]) and "not" not in rest[:1] and "for" not in rest[1:]:
                return "absent"
            if any(word in ("low", "weak", "weakly", "dim") for word in rest[:2]) and not _OF_KIND.intersection(rest):
                return "low"
            return "present" if any(word in AFTER_NOT for word in rest[:2]) else None
    return None
