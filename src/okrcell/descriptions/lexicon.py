"""Vocabulary of affirmation, negation, regulation and opposites."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from okrcell.ontology.ontology import normalize_name

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
Sign = Literal["present", "high", "low", "absent"]
"""Stated presence: present, present in large amount, present in small amount, or absent."""
SUFFIX_SIGNS: dict[str, Sign] = {
    "positive": "present", "pos": "present", "high": "high", "hi": "high", "bright": "high", "rich": "high",
    "negative": "absent", "neg": "absent", "null": "absent", "deficient": "absent", "free": "absent", "less": "absent",
    "low": "low", "lo": "low", "dim": "low", "int": "low",
}  # fmt: skip
"""Words directly after a name that state its presence: "CD19-negative"."""
NEGATION_PHRASES = frozenset({("rather", "than"), ("instead", "of"), ("negative", "for"), ("negative", "marker")})
"""Two-word phrases that negate what follows."""


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


def word_set(words: str) -> frozenset[str]:
    """Split a string into a set of words."""
    return frozenset(words.split())


NEGATIONS = word_set(
    "lack lacked lacking without no not never neither nor absence devoid fail failed cannot non unlike loss lost absent "
    "except excluding minus missing doesn don isn aren didn wasn weren couldn"
)
"""Words that negate what follows."""
CAUSAL_STEMS = word_set("caus lead led result trigger induc underlie impair")
"""Stems of causal verbs; a "loss" that is the subject of one is no negation."""
HIGH_WORDS = word_set("high highly strong strongly abundant abundantly elevated increased")
"""Words that state a large amount before a word of `LEVEL_WORDS`."""
LOW_WORDS = word_set("low little minimal weak weakly low-level hardly barely scarce scarcely")
"""Words that state a small amount before a word of `LEVEL_WORDS`."""
AFFIRMATIONS = word_set(
    """
    express expressed expressing produce produced producing secrete secreted secreting contain containing carry
    carrying display displaying bear bearing synthesize synthesise release present presents upregulate
    upregulated retain retaining is are was were has have having possess possessing can enriched positive
    instead
    """
)
"""Verbs that affirm what follows, and thereby end a negation."""
NEGATION_BOUNDARIES = word_set(
    "; : . ( ) [ ] but while whereas although though however yet which that who whose thereby because when where"
)
"""Words and punctuation that end the scope of a negation."""
ABSENCE_PREDICATES = word_set("absent lost undetectable silenced missing lacking downregulated negative excluded")
"""Predicates that negate their subject: "is absent"."""
DETECTION_PREDICATES = word_set("expressed found detected detectable present produced secreted seen required observed")
"""Predicates that negate their subject after "not": "is not expressed"."""
COPULAS = word_set("is are was were be been being remain remains become becomes")
"""Forms of "to be" and similar copulas."""
NOUNS_AFTER_NEGATIVE = word_set("regulator regulation feedback selection control effect regulate charge stranded")
"""Nouns after "negative" that are not negated by it: "negative regulator"."""

INCREASE_PREFIXES = tuple(
    word_set(
        """
        activat activator induc promot stimulat enhanc increas upregulat elevat augment potentiat boost accelerat
        agonist facilitat amplif strengthen foster favor trigger driv elicit evok initiat support sustain rise
        rising restor
        """
    )
)
"""Beginnings of words that state an increase."""
DECREASE_PREFIXES = tuple(
    word_set(
        """
        inhibit inhibitor suppress suppressor repress block reduc decreas downregulat prevent antagoni impair
        attenuat limit dampen diminish abrogat counteract weaken restrain hinder inactivat deactivat neutraliz
        silenc decline abolish stop halt arrest lower interfere
        """
    )
)
"""Beginnings of words that state a decrease."""

REGULATION_PREFIXES = tuple(word_set("regulat modulat control"))
"""Beginnings of words that state regulation without a direction."""
DIRECTION_PREFIXES = tuple(
    word_set("silenc repress suppress inhibit block downregulat keep kept hold held activat stimulat induc upregulat")
)
"""Beginnings of verbs that state the direction of a regulation."""

OPPOSITE_PAIRS = word_set(
    """
    mature/immature naive/memory proinflammatory/antiinflammatory excitatory/inhibitory anterior/posterior
    dorsal/ventral male/female adult/fetal adult/embryonic agonist/antagonist exocrine/endocrine
    afferent/efferent myeloid/lymphoid innate/adaptive proximal/distal apical/basal left/right upper/lower
    early/late sensory/motor sympathetic/parasympathetic internal/external inner/outer ascending/descending
    peripheral/central benign/malignant acute/chronic large/small slow/fast diurnal/nocturnal soluble/insoluble
    intracellular/extracellular haploid/diploid mitotic/meiotic unipolar/bipolar mononuclear/multinucleated
    striated/smooth rod/cone cytotoxic/helper arterial/venous deoxygenated/oxygenated
    hyperpolarization/depolarization vasodilation/vasoconstriction aerobic/anaerobic cortical/medullary
    simple/stratified squamous/columnar squamous/cuboidal voluntary/involuntary keratinized/nonkeratinized
    myelinated/unmyelinated long/short inflammatory/antiinflammatory outward/inward superficial/deep
    prenatal/postnatal fetal/postnatal dominant/recessive gamma/alpha white/brown red/white
    hydrophilic/hydrophobic dividing/quiescent proliferating/quiescent tolerance/immunity heavy/light
    synthesis/degradation rise/fall import/export influx/efflux anabolic/catabolic terminal/initial
    """
)
"""Pairs of opposites: a statement changes its meaning if one replaces the other."""
CLAUSE_BOUNDARIES = word_set("; : . ( ) [ ] but whereas although though however yet")
"""Words and punctuation that end the clause of an effect or a comparison."""
SUBJECT_PRONOUNS = word_set("it they this these thi")
"""Pronouns that begin a new clause after a comma."""
LEVEL_WORDS = word_set("level amount expression quantity abundance expressed in or to and of if")
"""Words that can follow "high" or "low" in a statement of amount."""


def opposites_of(word: str) -> frozenset[str]:
    """Return the opposites of a word: "posterior" for "anterior"."""
    return _OPPOSITES.get(word, frozenset())


def _build_opposites() -> dict[str, frozenset[str]]:
    opposites: dict[str, set[str]] = {}
    for pair in OPPOSITE_PAIRS:
        left, right = pair.split("/")
        opposites.setdefault(left, set()).add(right)
        opposites.setdefault(right, set()).add(left)
    return {word: frozenset(words) for word, words in opposites.items()}


_OPPOSITES = _build_opposites()
