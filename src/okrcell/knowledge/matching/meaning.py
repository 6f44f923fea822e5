"""Normalised words of a name, without filler words."""

import re
import unicodedata

from okrcell.knowledge.naming import normalize_name

CANONICAL_WORDS = {
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

FILLER_WORDS = frozenset(
    {"cell", "of", "the", "in", "a", "an", "and", "with", "from", "type", "human", "lineage", "like", "population"}
    | {"subset", "group", "alphabeta", "thymusderived", "positive", "disease"}
)
"""Filler words that labels often omit; they only break ties between names."""

LOW_WEIGHT_WORDS = frozenset({"mature", "technology", "transcription", "profiling"})
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
_MARKER_LEVEL = re.compile(
    rf"\b({_MARKER}|[a-z]+\d[a-z0-9]*|lin|epcam|kit) ?(pos|positive|neg|negative|high|hi|bright|low|lo|dim)\b"
)
_BARE_MARKER = re.compile(rf"(?<![^ ])({_MARKER})(?= |$)")
_GLUED_WORDS = re.compile(
    r"(?<=[a-z+])(?=CD\d)|(?<=[a-z]{2})(?=[A-Z][a-z]{2})|(?<=CD4)(?=T)|(?<=CD8)(?=T)|(?<=[a-z]{4})(?=\d)"
)
_GLUED_POSITIVE = re.compile(r"(?<=[A-Z0-9])pos(?![a-z])")
_GENE_LEVEL = re.compile(r"\b([A-Z][A-Z0-9-]+)[ _]+(high|hi|low|lo|pos|neg)\b")
_SIGNS = {"pos": "+", "positive": "+", "neg": "-", "negative": "-", "high": "high", "hi": "high", "bright": "high",
         "low": "low", "lo": "low", "dim": "low"}  # fmt: skip


def normalize_words(name: str) -> tuple[str, ...]:
    """Split a name into normalised words, in their order.

    A marker is one word with its sign ("CD8-positive", "CD8+" and "CD8" become ``cd8+``; "CD14-low" and "CD14dim" become
    ``cd14low``), adjectives of organs become nouns, and Roman numerals become Arabic.
    """
    name = _GLUED_POSITIVE.sub("+ ", name)
    name = _GENE_LEVEL.sub(lambda match: match[1] + _SIGNS[match[2]] + " ", name.replace("_", " "))
    words = normalize_name(_GLUED_WORDS.sub(" ", name))
    if not words.isascii():
        words = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    for phrase, replacement in _PHRASES:
        words = phrase.sub(replacement, words)
    words = _MARKER_LEVEL.sub(lambda match: match[1] + _SIGNS[match[2]], words)
    words = _BARE_MARKER.sub(r"\1+", words)
    return tuple(CANONICAL_WORDS.get(word, word) for word in words.split())


def opposite_signs(first: str, second: str) -> bool:
    """Tell whether two words are opposite signs of one marker: ``cd8+`` and ``cd8-``."""
    return first[-1:] in "+-" and second[-1:] in "+-" and first != second and first[:-1] == second[:-1]
