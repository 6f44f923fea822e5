"""Vocabulary of affirmation, negation, regulation and opposites."""

from typing import Literal

Sign = Literal["present", "high", "low", "absent"]
"""Stated presence: present, present in large amount, present in small amount, or absent."""


def listed(words: str) -> frozenset[str]:
    """Split a string into a set of words."""
    return frozenset(words.split())


SUFFIX: dict[str, Sign] = {
    "positive": "present", "pos": "present", "high": "high", "hi": "high", "bright": "high", "rich": "high",
    "negative": "absent", "neg": "absent", "null": "absent", "deficient": "absent", "free": "absent", "less": "absent",
    "low": "low", "lo": "low", "dim": "low", "int": "low",
}  # fmt: skip
"""Words directly after a name that state its presence: "CD19-negative"."""
DENIAL = listed(
    "lack lacked lacking without no not never neither nor absence devoid fail failed cannot non unlike loss lost absent "
    "except excluding minus missing doesn don isn aren didn wasn weren couldn"
)
"""Words that negate what follows."""
CAUSES = listed("caus lead led result trigger induc underlie impair")
"""Stems of causal verbs; a "loss" that is the subject of one is no negation."""
PHRASES = frozenset({("rather", "than"), ("instead", "of"), ("negative", "for"), ("negative", "marker")})
"""Two-word phrases that negate what follows."""
RICHLY = listed("high highly strong strongly abundant abundantly elevated increased")
"""Words that state a large amount before a word of `LEVELS`."""
BARELY = listed("low little minimal weak weakly low-level hardly barely scarce scarcely")
"""Words that state a small amount before a word of `LEVELS`."""
AFFIRMED = listed(
    """
    express expressed expressing produce produced producing secrete secreted secreting contain containing carry
    carrying display displaying bear bearing synthesize synthesise release present presents upregulate
    upregulated retain retaining is are was were has have having possess possessing can enriched positive
    instead
    """
)
"""Verbs that affirm what follows, and thereby end a negation."""
LIMITS = listed(
    "; : . ( ) [ ] but while whereas although though however yet which that who whose thereby because when where"
)
"""Words and punctuation that end the scope of a negation."""
GONE = listed("absent lost undetectable silenced missing lacking downregulated negative excluded")
"""Predicates that negate their subject: "is absent"."""
AFTER_NOT = listed("expressed found detected detectable present produced secreted seen required observed")
"""Predicates that negate their subject after "not": "is not expressed"."""
BE = listed("is are was were be been being remain remains become becomes")
"""Forms of "to be" and similar copulas."""
NEUTRAL_NEGATIVE = listed("regulator regulation feedback selection control effect regulate charge stranded")
"""Nouns after "negative" that are not negated by it: "negative regulator"."""

RAISES = tuple(
    listed(
        """
        activat activator induc promot stimulat enhanc increas upregulat elevat augment potentiat boost accelerat
        agonist facilitat amplif strengthen foster favor trigger driv elicit evok initiat support sustain rise
        rising restor
        """
    )
)
"""Beginnings of words that state an increase."""
LOWERS = tuple(
    listed(
        """
        inhibit inhibitor suppress suppressor repress block reduc decreas downregulat prevent antagoni impair
        attenuat limit dampen diminish abrogat counteract weaken restrain hinder inactivat deactivat neutraliz
        silenc decline abolish stop halt arrest lower interfere
        """
    )
)
"""Beginnings of words that state a decrease."""

REGULATES = tuple(listed("regulat modulat control"))
"""Beginnings of words that state regulation without a direction."""
STEERS = tuple(
    listed("silenc repress suppress inhibit block downregulat keep kept hold held activat stimulat induc upregulat")
)
"""Beginnings of verbs that state the direction of a regulation."""

PAIRS = listed(
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
ENDS = listed("; : . ( ) [ ] but whereas although though however yet")
"""Words and punctuation that end the clause of an effect or a comparison."""
SUBJECTS = listed("it they this these thi")
"""Pronouns that begin a new clause after a comma."""
LEVELS = listed("level amount expression quantity abundance expressed in or to and of if")
"""Words that can follow "high" or "low" in a statement of amount."""


def opposites_of(word: str) -> frozenset[str]:
    """Return the opposites of a word: "posterior" for "anterior"."""
    return _OPPOSITES.get(word, frozenset())


def _both_ways() -> dict[str, frozenset[str]]:
    opposites: dict[str, set[str]] = {}
    for pair in PAIRS:
        one, other = pair.split("/")
        opposites.setdefault(one, set()).add(other)
        opposites.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in opposites.items()}


_OPPOSITES = _both_ways()
