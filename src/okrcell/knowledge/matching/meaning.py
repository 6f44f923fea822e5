"""Normalised words of a name, without filler words."""

import re
import unicodedata

from okrcell.knowledge.naming import normal_name

SAME = {
    "progenitor": "precursor", "neuronal": "neuron", "neurone": "neuron", "endothelium": "endothelial",
    "epithelium": "epithelial", "muscular": "muscle", "glia": "glial", "microglia": "microglial",
    "centre": "center", "pulmonary": "lung", "cardiac": "heart", "renal": "kidney", "hepatic": "liver",
    "pancreatic": "pancreas", "intestinal": "intestine", "splenic": "spleen", "gastric": "stomach", "thymic": "thymus",
    "retinal": "retina", "dermal": "skin", "cutaneous": "skin", "cerebral": "brain", "colonic": "colon",
    "vascular": "vessel", "prostatic": "prostate", "ovarian": "ovary", "testicular": "testis",
    "ductal": "duct", "acinar": "acinus", "i": "1", "ii": "2", "iii": "3", "iv": "4", "hi": "high", "bright": "high",
    "bri": "high", "lo": "low", "dim": "low", "int": "intermediate", "activation": "activated", "ciliary": "ciliated",
}  # fmt: skip
"""Canonical word of adjectives, synonyms and Roman numerals."""

SILENT = frozenset(
    {"cell", "of", "the", "in", "a", "an", "and", "with", "from", "type", "human", "lineage", "like", "population"}
    | {"subset", "group", "alphabeta", "thymusderived", "positive", "disease"}
)
"""Filler words that labels often omit; they only break ties between names."""

FAINT = frozenset({"mature", "technology", "transcription", "profiling"})
"""Words that labels sometimes omit; they have a low weight."""

_PHRASES = (
    (re.compile(r"\balpha beta\b"), "alphabeta"),
    (re.compile(r"\bgamma delta\b"), "gammadelta"),
    (re.compile(r"\bthymus derived\b"), "thymusderived"),
    (re.compile(r"\b(t|b|nk|natural killer) lymphocyte\b"), r"\1 cell"),
    (re.compile(r"\b(non|pre|pro|double) (?=[a-z0-9])"), r"\1"),
    (re.compile(r"\b([tb])cell\b"), r"\1 cell"),
)
_MARKER = r"cd\d+[a-z]{0,2}?"
_STATED = re.compile(
    rf"\b({_MARKER}|[a-z]+\d[a-z0-9]*|lin|epcam|kit) ?(pos|positive|neg|negative|high|hi|bright|low|lo|dim)\b"
)
_BARE = re.compile(rf"(?<![^ ])({_MARKER})(?= |$)")
_GLUED = re.compile(
    r"(?<=[a-z+])(?=CD\d)|(?<=[a-z]{2})(?=[A-Z][a-z]{2})|(?<=CD4)(?=T)|(?<=CD8)(?=T)|(?<=[a-z]{4})(?=\d)"
)
_POSITIVE = re.compile(r"(?<=[A-Z0-9])pos(?![a-z])")
_GENE_LEVEL = re.compile(r"\b([A-Z][A-Z0-9-]+)[ _]+(high|hi|low|lo|pos|neg)\b")
_SIGN = {"pos": "+", "positive": "+", "neg": "-", "negative": "-", "high": "high", "hi": "high", "bright": "high",
         "low": "low", "lo": "low", "dim": "low"}  # fmt: skip


def meaning(name: str) -> tuple[str, ...]:
    """Split a name into normalised words, in their order.

    A marker is one word with its sign ("CD8-positive", "CD8+" and "CD8" become ``cd8+``; "CD14-low" and "CD14dim" become
    ``cd14low``), adjectives of organs become nouns, and Roman numerals become Arabic.
    """
    name = _POSITIVE.sub("+ ", name)
    name = _GENE_LEVEL.sub(lambda found: found[1] + _SIGN[found[2]] + " ", name.replace("_", " "))
    words = normal_name(_GLUED.sub(" ", name))
    if not words.isascii():
        words = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    for phrase, same in _PHRASES:
        words = phrase.sub(same, words)
    words = _STATED.sub(lambda found: found[1] + _SIGN[found[2]], words)
    words = _BARE.sub(r"\1+", words)
    return tuple(SAME.get(word, word) for word in words.split())


def opposite(one: str, other: str) -> bool:
    """Tell whether two words are opposite signs of one marker: ``cd8+`` and ``cd8-``."""
    return one[-1:] in "+-" and other[-1:] in "+-" and one != other and one[:-1] == other[:-1]
