"""Affirmation and negation of words and entities in a text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from okrcell.descriptions.lexicon import (
    ABSENCE_PREDICATES,
    AFFIRMATIONS,
    CAUSAL_STEMS,
    CLAUSE_BOUNDARIES,
    COPULAS,
    DECREASE_PREFIXES,
    DETECTION_PREDICATES,
    HIGH_WORDS,
    INCREASE_PREFIXES,
    LEVEL_WORDS,
    LOW_WORDS,
    NEGATION_BOUNDARIES,
    NEGATION_PHRASES,
    NEGATIONS,
    NOUNS_AFTER_NEGATIVE,
    REGULATION_PREFIXES,
    SUBJECT_PRONOUNS,
    SUFFIX_SIGNS,
    Sign,
    WordToken,
    stem,
    word_set,
)

_CATEGORY_NOUNS = frozenset({"affinity", "molecular", "density", "voltage", "threshold"})
"""Words after "low" that denote a category ("a low affinity receptor"), not an amount."""
MAX_DISTANCE = 12
"""Maximum distance, in words, of a negation ahead and of a predicate ("... are absent") back."""
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
_COMPARISON_STOPWORDS = word_set("the are does other any all most those that cell")
CONTEXT_WORDS_BEFORE, CONTEXT_WORDS_AFTER = 6, 12
"""Number of words before and after a verb that are its context."""
_EFFECT_STOPWORDS = word_set("and the for from with that this into its are was not but out via both other")


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
