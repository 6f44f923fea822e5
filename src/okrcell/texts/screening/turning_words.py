"""Words that affirm, deny or turn a statement round."""

from typing import Literal

Sign = Literal["present", "high", "low", "absent"]
"""What is said of a thing: that it is there, there in plenty, hardly there, or not there."""


def listed(words: str) -> frozenset[str]:
    """Read a list of words."""
    return frozenset(words.split())


SUFFIX: dict[str, Sign] = {
    "positive": "present", "pos": "present", "high": "high", "hi": "high", "bright": "high", "rich": "high",
    "negative": "absent", "neg": "absent", "null": "absent", "deficient": "absent", "free": "absent", "less": "absent",
    "low": "low", "lo": "low", "dim": "low", "int": "low",
}  # fmt: skip
"""Words that decide directly after a name: "CD19-negative"."""
DENIAL = listed(
    "lack lacked lacking without no not never neither nor absence devoid fail failed cannot non unlike loss lost absent "
    "except excluding minus missing doesn don isn aren didn wasn weren couldn"
)
"""Words that deny what follows them."""
CAUSES = listed("caus lead led result trigger induc underlie impair")
"""Stems of verbs by which a loss does something, so that nothing is denied."""
PHRASES = frozenset({("rather", "than"), ("instead", "of"), ("negative", "for"), ("negative", "marker")})
"""Two words that deny what follows them."""
RICHLY = listed("high highly strong strongly abundant abundantly elevated increased")
"""Words that, before a word of `LEVELS`, say that there is plenty."""
BARELY = listed("low little minimal weak weakly low-level hardly barely scarce scarcely")
"""Words that, before a word of `LEVELS`, say that there is hardly any."""
AFFIRMED = listed(
    """
    express expressed expressing produce produced producing secrete secreted secreting contain containing carry
    carrying display displaying bear bearing synthesize synthesise release present presents upregulate
    upregulated retain retaining is are was were has have having possess possessing can enriched positive
    instead
    """
)
"""Verbs that affirm what follows them, and so end a denial."""
LIMITS = listed(
    "; : . ( ) [ ] but while whereas although though however yet which that who whose thereby because when where"
)
"""Where a denial ends."""
GONE = listed("absent lost undetectable silenced missing lacking downregulated negative excluded")
"""Verdicts that deny what stands before them: "is absent"."""
AFTER_NOT = listed("expressed found detected detectable present produced secreted seen required observed")
"""Verdicts that deny it after "not": "is not expressed"."""
BE = listed("is are was were be been being remain remains become becomes")
"""Forms of to be."""
NEUTRAL_NEGATIVE = listed("regulator regulation feedback selection control effect regulate charge stranded")
"""What is called negative without being denied: "negative regulator"."""

RAISES = tuple(
    listed(
        """
        activat activator induc promot stimulat enhanc increas upregulat elevat augment potentiat boost accelerat
        agonist facilitat amplif strengthen foster favor trigger driv elicit evok initiat support sustain rise
        rising restor
        """
    )
)
"""How verbs begin that say something is raised."""
LOWERS = tuple(
    listed(
        """
        inhibit inhibitor suppress suppressor repress block reduc decreas downregulat prevent antagoni impair
        attenuat limit dampen diminish abrogat counteract weaken restrain hinder inactivat deactivat neutraliz
        silenc decline abolish stop halt arrest lower interfere
        """
    )
)
"""How verbs begin that say something is lowered."""

REGULATES = tuple(listed("regulat modulat control"))
"""How verbs begin that say something is steered, and not which way."""
STEERS = tuple(
    listed("silenc repress suppress inhibit block downregulat keep kept hold held activat stimulat induc upregulat")
)
"""How verbs begin that say which way."""

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
"""Words that turn a statement round when one takes the other's place."""
ENDS = listed("; : . ( ) [ ] but whereas although though however yet")
"""Where an effect ends."""
SUBJECTS = listed("it they this these thi")
"""Words that begin a new statement after a comma."""
LEVELS = listed("level amount expression quantity abundance expressed in or to and of if")
"""What may be high or low."""


def opposites_of(word: str) -> frozenset[str]:
    """Give the words that turn a statement round when they take this word's place: "anterior" and "posterior"."""
    return _OPPOSITES.get(word, frozenset())


def _both_ways() -> dict[str, frozenset[str]]:
    opposites: dict[str, set[str]] = {}
    for pair in PAIRS:
        one, other = pair.split("/")
        opposites.setdefault(one, set()).add(other)
        opposites.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in opposites.items()}


_OPPOSITES = _both_ways()
