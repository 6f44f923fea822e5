"""Affirmation and negation of words and entities in a text."""

from collections.abc import Iterator, Sequence

from okrcell.texts.screening.mentions import WordToken, stem
from okrcell.descriptions.lexicon import (
    ABSENCE_PREDICATES,
    AFFIRMATIONS,
    CAUSAL_STEMS,
    COPULAS,
    DETECTION_PREDICATES,
    HIGH_WORDS,
    LEVEL_WORDS,
    LOW_WORDS,
    NEGATION_BOUNDARIES,
    NEGATION_PHRASES,
    NEGATIONS,
    NOUNS_AFTER_NEGATIVE,
    SUFFIX_SIGNS,
    Sign,
)

_CATEGORY_NOUNS = frozenset({"affinity", "molecular", "density", "voltage", "threshold"})
"""Words after "low" that denote a category ("a low affinity receptor"), not an amount."""
MAX_DISTANCE = 12
"""Maximum distance, in words, of a negation ahead and of a predicate ("... are absent") back."""


def sign_of(words: Sequence[WordToken], start: int, stop: int) -> Sign:
    """Return the stated presence of the entity at ``words[first:last]``.

    In order of precedence: a suffix directly after it ("CD19-negative"), a predicate later in the clause ("CD3 and CD19
    are absent"), a negation before it in the clause ("lacks CD3 and CD19").
    """
    suffix_sign = _suffix_sign(words, stop)
    follows_not = start > 0 and words[start - 1].norm in ("not", "non")
    if suffix_sign is not None:
        return suffix_sign if not follows_not else "present" if suffix_sign == "absent" else "absent"
    left_sign, right_sign = _sign_before(words, start), _sign_after(words, stop)
    if left_sign == "absent" and right_sign == "absent":
        return "present"  # "does not mean that CD19 is absent"
    is_close = any(word.norm in NEGATIONS for word in words[max(0, start - 2) : start])
    if right_sign == "present" and left_sign == "absent" and not is_close:
        return "present"  # "has no nucleus, and CD19 is expressed"
    return left_sign if right_sign is None or left_sign != "present" else right_sign


def negated_indices(words: Sequence[WordToken], max_distance: int = 5) -> Iterator[int]:
    """Yield the indices of words within ``max_distance`` words after a negation, in its clause."""
    for index in range(len(words)):
        start = max(0, index - max_distance)
        if any(previous.norm in NEGATIONS for previous in words[start:index]) and is_negated(
            words, index, max_distance
        ):
            yield index


def is_negated(words: Sequence[WordToken], index: int, max_distance: int = MAX_DISTANCE) -> bool:
    """Whether a word is negated by a negation in its clause, at most ``max_distance`` words before it."""
    return _sign_before(words, index, max_distance) == "absent"


def _affirms(norm: str) -> bool:
    return norm in AFFIRMATIONS or stem(norm) in AFFIRMATIONS


def _suffix_sign(words: Sequence[WordToken], stop: int) -> Sign | None:
    if stop >= len(words) or words[stop].norm not in SUFFIX_SIGNS:
        return None
    following = words[stop + 1].norm if stop + 1 < len(words) else ""
    if following in NOUNS_AFTER_NEGATIVE or (words[stop].norm in ("positive", "negative") and following == "for"):
        return None
    return SUFFIX_SIGNS[words[stop].norm]


def _sign_before(words: Sequence[WordToken], start: int, max_distance: int = MAX_DISTANCE) -> Sign:
    """Return the sign set by the words before ``start``: a negation holds until an affirmation or the clause end."""
    sign: Sign = "present"
    negation_index = -9
    for index in range(max(0, start - max_distance), start):
        norm = words[index].norm
        following = words[index + 1].norm if index + 1 < len(words) else ""
        if norm in NEGATION_BOUNDARIES:
            sign = "present"
        elif norm == "not" and following in ("only", "just", "merely"):
            continue
        elif (norm, following) in NEGATION_PHRASES:
            sign, negation_index = "absent", index
        elif norm == "non":
            sign = "absent" if index == start - 1 else sign
        elif norm in NEGATIONS and not _is_causal(words, index):
            is_double_negation = sign == "absent" and index - negation_index <= 2 and norm not in ("not", "nor", "no")
            sign, negation_index = ("present" if is_double_negation else "absent"), index
        elif norm in LOW_WORDS and sign != "absent" and following in LEVEL_WORDS:
            sign, negation_index = "low", index
        elif norm in HIGH_WORDS and sign != "absent" and following in LEVEL_WORDS:
            sign, negation_index = "high", index
        elif _affirms(norm) and index - negation_index > 2 and following not in NEGATIONS:
            sign = "present"
    return sign


def _is_causal(words: Sequence[WordToken], index: int) -> bool:
    """Whether a loss is the subject of a causal verb: "whose loss causes fibrosis" is no negation."""
    max_distance = {"loss": 8, "lost": 2}.get(words[index].norm, 0)
    for word in words[index + 1 : index + 1 + max_distance]:
        if word.norm in NEGATION_BOUNDARIES:
            break
        if stem(word.norm) in CAUSAL_STEMS:
            return True
    return False


def _sign_after(words: Sequence[WordToken], stop: int) -> Sign | None:
    """Return the sign of a predicate after ``stop``: "is absent", "are not expressed", "expression is low"."""
    for index in range(stop, min(len(words) - 1, stop + MAX_DISTANCE)):
        norm, following = words[index].norm, words[index + 1].norm
        if norm in NEGATION_BOUNDARIES or (norm == "and" and (following in COPULAS or _affirms(following))):
            break
        if norm == "negative" and following == "marker":
            return "absent"
        if norm in COPULAS:
            rest = [word.norm for word in words[index + 1 : index + 4]]
            if following == "not" and any(word in DETECTION_PREDICATES for word in rest):
                return "absent"
            if any(word in ABSENCE_PREDICATES for word in rest[:2]) and "not" not in rest[:1] and "for" not in rest[1:]:
                return "absent"
            if any(word in ("low", "weak", "weakly", "dim") for word in rest[:2]) and not _CATEGORY_NOUNS.intersection(
                rest
            ):
                return "low"
            return "present" if any(word in DETECTION_PREDICATES for word in rest[:2]) else None
    return None
