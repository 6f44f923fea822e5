"""Vocabulary of affirmation, negation, regulation and opposites."""

from typing import Literal

Sign = Literal["present", "high", "low", "absent"]
"""Stated presence: present, present in large amount, present in small amount, or absent."""


def word_set(words: str) -> frozenset[str]:
    """Split a string into a set of words."""
    return frozenset(words.split())


SUFFIX_SIGNS: dict[str, Sign] = {
    "positive": "present", "pos": "present", "high": "high", "hi": "high", "bright": "high", "rich": "high",
    "negative": "absent", "neg": "absent", "null": "absent", "deficient": "absent", "free": "absent", "less": "absent",
    "low": "low", "lo": "low", "dim": "low", "int": "low",
}  # fmt: skip
"""Words directly after a name that state its presence: "CD19-negative"."""
NEGATIONS = word_set(
    "lack lacked lacking without no not never neither nor absence devoid fail failed cannot non unlike loss lost absent "
    "except excluding minus missing doesn don isn aren didn wasn weren couldn"
)
"""Words that negate what follows."""
CAUSAL_STEMS = word_set("caus lead led result trigger induc underlie impair")
"""Stems of causal verbs; a "loss" that is the subject of one is no negation."""
NEGATION_PHRASES = frozenset({("rather", "than"), ("instead", "of"), ("negative", "for"), ("negative", "marker")})
"""Two-word phrases that negate what follows."""
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
