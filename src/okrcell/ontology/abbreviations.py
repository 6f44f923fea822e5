"""Expansion of abbreviations: a fixed dictionary, and initials, prefixes and skeletons of ontology names."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from okrcell.ontology.label_parsing import CANONICAL_WORDS

CELL_TYPE_ABBREVIATIONS = {
    # lymphoid
    "nk": "natural killer", "nkt": "natural killer t", "mait": "mucosal associated invariant t",
    "treg": "regulatory t", "tconv": "conventional t", "teff": "effector t", "tn": "naive t", "tem": "effector memory t",
    "tcm": "central memory t", "trm": "tissue resident memory t", "temra": "effector memory terminally differentiated t",
    "th": "helper t", "th1": "1 helper t", "th2": "2 helper t", "th17": "17 helper t", "tfh": "follicular helper t",
    "ctl": "cytotoxic t", "gdt": "gammadelta t", "tgd": "gammadelta t", "gd": "gammadelta", "ab": "alphabeta",
    "dnt": "doublenegative t", "ilc": "innate lymphoid", "ilc1": "1 innate lymphoid", "ilc2": "2 innate lymphoid",
    "ilc3": "3 innate lymphoid", "gcb": "germinal center b", "breg": "regulatory b",
    # myeloid and blood
    "dc": "dendritic", "pdc": "plasmacytoid dendritic", "cdc": "conventional dendritic", "mdc": "myeloid dendritic",
    "cdc1": "1 conventional dendritic", "cdc2": "2 conventional dendritic", "modc": "monocyte derived dendritic",
    "mo": "monocyte", "mono": "monocyte", "mph": "macrophage", "mac": "macrophage", "macro": "macrophage",
"pmn": "neutrophil", "rbc": "erythrocyte", "ery": "erythrocyte", "eryth": "erythrocyte", "plt": "platelet",
    "mk": "megakaryocyte", "hspc": "hematopoietic precursor", "hpc": "hematopoietic precursor",
    "clp": "common lymphoid precursor", "cmp": "common myeloid precursor", "gmp": "granulocyte monocyte precursor",
    "mep": "megakaryocyte erythroid precursor", "mpp": "multipotent precursor",
    # tissues
    "ec": "endothelial", "lec": "lymphatic endothelial", "smc": "smooth muscle", "vsmc": "vascular smooth muscle",
    "cm": "heart muscle",
    "cardiomyocyte": "heart muscle", "sm": "smooth muscle", "myof": "myofibroblast",
    "fb": "fibroblast", "caf": "cancer associated fibroblast", "at1": "alveolar 1",
    "at2": "alveolar 2", "aec": "alveolar", "msc": "mesenchymal stem", "es": "embryonic stem", "esc": "embryonic stem",
    "eec": "enteroendocrine", "ta": "transit amplifying", "evt": "extravillous trophoblast",
    "opc": "oligodendrocyte precursor", "nsc": "neural stem", "rgc": "retinal ganglion",
    "exc": "glutamatergic", "excitatory": "glutamatergic", "inh": "gabaergic", "inhibitory": "gabaergic",
    # states
    "tex": "exhausted t", "mem": "memory", "eff": "effector", "act": "activated", "reg": "regulatory", "prog": "precursor",
    "diff": "differentiated", "imm": "immature", "prolif": "cycling", "cyto": "cytotoxic", "endo": "endothelial",
    "epi": "epithelial", "lymph": "lymphatic", "pigm": "pigmented",
}  # fmt: skip
"""Common cell type abbreviations and their words, normalised by `normalize_words`."""

SINGLE_MARKER_TYPES = {
    "cd3+": "t", "cd4+": "cd4+ t", "cd8+": "cd8+ t", "cd14+": "cd14+ monocyte", "cd15+": "granulocyte", "cd19+": "b",
    "cd20+": "b", "cd34+": "hematopoietic precursor", "cd56+": "natural killer", "cd138+": "plasma",
    "gammadelta": "gammadelta t", "cd31+": "endothelial", "cd41+": "megakaryocyte", "cd45+": "leukocyte",
    "epcam+": "epithelial",
}  # fmt: skip
"""Cell type of a label that consists of one marker only."""

DISEASE_ABBREVIATIONS = {
    "ad": "alzheimer disease", "pd": "parkinson disease", "ms": "multiple sclerosis", "sle": "systemic lupus erythematosus",
    "ra": "rheumatoid arthritis", "t1d": "type 1 diabetes mellitus", "t2d": "type 2 diabetes mellitus",
    "uc": "ulcerative colitis", "ibd": "inflammatory bowel disease", "ipf": "idiopathic pulmonary fibrosis",
    "covid": "covid 19", "aml": "acute myeloid leukemia", "cll": "chronic lymphocytic leukemia",
    "hcc": "hepatocellular carcinoma", "crc": "colorectal carcinoma", "luad": "lung adenocarcinoma",
    "nsclc": "non small cell lung carcinoma", "gbm": "glioblastoma", "tnbc": "triple negative breast carcinoma",
    "mm": "multiple myeloma", "ckd": "chronic kidney disease", "dcm": "dilated cardiomyopathy",
}  # fmt: skip
"""Common disease abbreviations."""
MAX_EXPANSIONS = 3
"""Maximum number of expansions of one word."""

ORGAN_ADJECTIVES = {
    noun: word for word, noun in CANONICAL_WORDS.items() if noun in ("liver", "lung", "heart", "kidney", "stomach")
}
"""Adjectives of organs that begin with another letter than the noun: "HSC" may be a hepatic stellate cell."""

MIN_UNIQUE_PREFIX = 5
"""Minimum length of a prefix that is certain if one word holds most of the names with this prefix."""

_GLUED_MARKER = re.compile(r"(cd\d)([a-z]{2,})")
TISSUE_ABBREVIATIONS = {
    "pbmc": "blood", "pbl": "blood", "bm": "bone marrow", "bmmc": "bone marrow", "csf": "cerebrospinal fluid",
    "ln": "lymph node", "cns": "central nervous system", "pfc": "prefrontal cortex", "dlpfc": "prefrontal cortex",
}  # fmt: skip
"""Common abbreviations of tissues and of samples taken from them."""

ASSAY_ABBREVIATIONS = {"chromium": "10x", "genomic": "", "prime": "", "5p": "5", "3p": "3"}
"""Vendor terms of assays in the words of the ontology; a word mapped to "" is dropped."""


@dataclass(frozen=True)
class Expansion:
    """One expansion of an abbreviation."""

    words: tuple[str, ...]
    confidence: float
    """Confidence of the expansion, in [0, 1]."""
    is_guess: bool = False
    """Whether it is derived from letters alone and needs other support."""


class Abbreviations:
    """Expansions of abbreviations by the names of one ontology: initials, prefixes and skeletons of their words.

    Parameters
    ----------
    names
        For each name its words, and the prominence of its term (grows with the number of descendants).
    expand_short
        Whether abbreviations are expanded; otherwise only misspelt words are corrected.
    """

    def __init__(self, names: Iterable[tuple[tuple[str, ...], float]], *, expand_short: bool) -> None:
        self._expands_short = expand_short
        self._expansion_cache: dict[tuple[str, bool], tuple[Expansion, ...]] = {}
        self._words_by_initials: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        self._name_counts: dict[str, int] = defaultdict(int)
        self._single_word_names: set[str] = set()
        for words, prominence in names:
            content_words = tuple(word for word in words if word != "cell")
            for word in content_words:
                self._name_counts[word] += 1
            if len(content_words) == 1 and content_words[0].isalpha():
                self._single_word_names.add(content_words[0])
            if not expand_short or len(content_words) < 2:
                continue
            adjectives = tuple(ORGAN_ADJECTIVES.get(word, word) for word in words)
            for initials in map(_initials, {words, content_words, adjectives}):
                if 2 <= len(initials) <= 6:
                    previous = self._words_by_initials[initials].get(content_words, 0.0)
                    self._words_by_initials[initials][content_words] = max(previous, prominence)

    def is_word(self, word: str) -> bool:
        """Tell whether any name contains the word."""
        return word in self._name_counts

    def is_common(self, word: str) -> bool:
        """Tell whether the word is a complete name or occurs in at least ten names."""
        return word in self._single_word_names or self._name_counts.get(word, 0) >= 10

    def expand(self, word: str, *, is_capitals: bool = False) -> tuple[Expansion, ...]:
        """Return the expansions of a word, most likely first.

        A word in ``is_capitals`` is expanded by initials only, because it may be a gene symbol.
        """
        key = (word, is_capitals)
        if key not in self._expansion_cache:
            self._expansion_cache[key] = self._expand(word, is_capitals=is_capitals)
        return self._expansion_cache[key]

    def _expand(self, word: str, *, is_capitals: bool) -> tuple[Expansion, ...]:
        if not self._expands_short:
            return self._correct_spelling(word)
        if parts := self._split_glued(word):
            return (Expansion(parts, 0.95),)
        return self._expand_short(word, is_capitals=is_capitals) or self._correct_spelling(word)

    def _expand_short(self, word: str, *, is_capitals: bool) -> tuple[Expansion, ...]:
        candidates = self._words_by_initials.get(word, {})
        max_prominence = max(candidates.values(), default=1.0)
        # Initials of three letters, or of a term with many descendants, are more reliable.
        base_confidence = (0.35 if len(word) > 2 else 0.2) + 0.3 * min(1.0, math.log(max_prominence + 1) / math.log(20))
        expansions = _rank_expansions(candidates, base_confidence, 0.1)
        if not is_capitals and word.isalpha() and not expansions:
            if len(word) >= 3:
                prefixed = {
                    (candidate,): float(count)
                    for candidate, count in self._name_counts.items()
                    if candidate.startswith(word) and candidate != word
                }
                expansions = _rank_expansions(prefixed, 0.55, 0.4, allow_certain=len(word) >= MIN_UNIQUE_PREFIX)
            if not expansions and 2 <= len(word) <= 5:
                by_skeleton = {
                    (candidate,): float(self._name_counts[candidate])
                    for candidate in self._single_word_names
                    if _is_skeleton(word, candidate)
                }
                expansions = _rank_expansions(by_skeleton, 0.4, 0.35)
        return expansions

    def _correct_spelling(self, word: str) -> tuple[Expansion, ...]:
        if len(word) < 6 or not word.isalpha():
            return ()
        close_words = get_close_matches(
            word, [candidate for candidate in self._name_counts if candidate[0] == word[0]], MAX_EXPANSIONS, 0.87
        )
        return tuple(Expansion((candidate,), 0.9, not _is_typo(word, candidate)) for candidate in close_words)

    def _split_glued(self, word: str) -> tuple[str, ...]:
        # Words written together: "memoryt", "thelper", "naivecytotoxic".
        splits = ((word[:-1], word[-1:]), (word[:1], word[1:]))
        for first, last in splits:
            letter, rest = (last, first) if len(last) == 1 else (first, last)
            if (
                letter in ("t", "b")
                and len(rest) > 2
                and (rest in CELL_TYPE_ABBREVIATIONS or (len(rest) > 3 and self.is_word(rest)))
            ):
                full_words = tuple(CELL_TYPE_ABBREVIATIONS.get(rest, rest).split())
                return (*full_words, letter)
        if (match := _GLUED_MARKER.fullmatch(word)) and (match[2] in CELL_TYPE_ABBREVIATIONS or self.is_word(match[2])):
            return (f"{match[1]}+", *CELL_TYPE_ABBREVIATIONS.get(match[2], match[2]).split())
        for i in range(4, len(word) - 3):
            if self.is_word(word[:i]) and self.is_word(word[i:]):
                return (word[:i], word[i:])
        return ()


def _initials(words: tuple[str, ...]) -> str:
    return "".join(word if word.isdigit() else word[0] for word in words if word not in ("of", "the", "in", "and"))


def _is_skeleton(abbreviation: str, word: str) -> bool:
    if word[0] != abbreviation[0] or len(word) < 2 * len(abbreviation):
        return False
    letters = iter(word)
    return all(letter in letters for letter in abbreviation)


def _is_typo(typed: str, word: str) -> bool:
    """Tell whether a word differs by one doubled, dropped or transposed letter; other edits may give another word."""
    doubled = any(typed[:i] + typed[i + 1 :] == word and typed[i] == typed[i - 1]
                  for i in range(1, len(typed)))  # fmt: skip
    dropped = any(word[:i] + word[i + 1 :] == typed for i in range(len(word)))
    swapped = len(word) == len(typed) and any(
        typed[:i] + typed[i + 1] + typed[i] + typed[i + 2 :] == word for i in range(len(typed) - 1)
    )
    return doubled or dropped or swapped


def _rank_expansions(
    weights: Mapping[tuple[str, ...], float],
    base_confidence: float,
    share_confidence: float,
    *,
    allow_certain: bool = False,
) -> tuple[Expansion, ...]:
    total = math.fsum(weights.values())
    ranked = sorted(weights, key=lambda words: (-weights[words], words))[:MAX_EXPANSIONS]
    return tuple(
        Expansion(
            words,
            base_confidence * (weights[words] / weights[ranked[0]]) ** 0.25 + share_confidence * weights[words] / total,
            not (allow_certain and weights[words] > 0.6 * total),
        )
        for words in ranked
    )
