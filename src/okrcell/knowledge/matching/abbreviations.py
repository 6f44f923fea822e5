"""Expansion of abbreviations: a fixed dictionary, and initials, prefixes and skeletons of ontology names."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from okrcell.knowledge.matching.meaning import SAME

SHORT = {
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
    "cm": "cardiomyocyte", "fb": "fibroblast", "caf": "cancer associated fibroblast", "at1": "alveolar 1",
    "at2": "alveolar 2", "aec": "alveolar", "msc": "mesenchymal stem", "es": "embryonic stem", "esc": "embryonic stem",
    "eec": "enteroendocrine", "ta": "transit amplifying", "evt": "extravillous trophoblast",
    "opc": "oligodendrocyte precursor", "nsc": "neural stem", "rgc": "retinal ganglion",
    "exc": "glutamatergic", "excitatory": "glutamatergic", "inh": "gabaergic", "inhibitory": "gabaergic",
    # states
    "mem": "memory", "eff": "effector", "act": "activated", "reg": "regulatory", "prog": "precursor",
    "diff": "differentiated", "imm": "immature", "prolif": "proliferating", "cyto": "cytotoxic", "endo": "endothelial",
    "epi": "epithelial", "lymph": "lymphatic", "pigm": "pigmented",
}  # fmt: skip
"""Common cell type abbreviations and their words, normalised as by `meaning`."""

POPULATIONS = {
    "cd3+": "t", "cd4+": "cd4+ t", "cd8+": "cd8+ t", "cd14+": "cd14+ monocyte", "cd15+": "granulocyte", "cd19+": "b",
    "cd20+": "b", "cd34+": "hematopoietic precursor", "cd56+": "natural killer", "cd138+": "plasma",
    "gammadelta": "gammadelta t", "cd31+": "endothelial", "cd41+": "megakaryocyte", "cd45+": "leukocyte",
    "epcam+": "epithelial",
}  # fmt: skip
"""Cell type of a label that consists of one marker only."""

DISEASES = {
    "ad": "alzheimer disease", "pd": "parkinson disease", "ms": "multiple sclerosis", "sle": "systemic lupus erythematosus",
    "ra": "rheumatoid arthritis", "t1d": "type 1 diabetes mellitus", "t2d": "type 2 diabetes mellitus",
    "uc": "ulcerative colitis", "ibd": "inflammatory bowel disease", "ipf": "idiopathic pulmonary fibrosis",
    "covid": "covid 19", "aml": "acute myeloid leukemia", "cll": "chronic lymphocytic leukemia",
    "hcc": "hepatocellular carcinoma", "crc": "colorectal carcinoma", "luad": "lung adenocarcinoma",
    "nsclc": "non small cell lung carcinoma", "gbm": "glioblastoma", "tnbc": "triple negative breast carcinoma",
    "mm": "multiple myeloma", "ckd": "chronic kidney disease", "dcm": "dilated cardiomyopathy",
}  # fmt: skip
"""Common disease abbreviations."""


TOP = 3
"""Maximum number of expansions of one word."""

ADJECTIVE_OF = {noun: word for word, noun in SAME.items() if noun in ("liver", "lung", "heart", "kidney", "stomach")}
"""Adjectives of organs that begin with another letter than the noun: "HSC" may be a hepatic stellate cell."""

UNIQUE = 5
"""Minimum length of a prefix that is certain if one word holds most of the names with this prefix."""

_MARKED = re.compile(r"(cd\d)([a-z]{2,})")


TISSUES = {
    "pbmc": "blood", "pbl": "blood", "bm": "bone marrow", "bmmc": "bone marrow", "csf": "cerebrospinal fluid",
    "ln": "lymph node", "cns": "central nervous system", "pfc": "prefrontal cortex", "dlpfc": "prefrontal cortex",
}  # fmt: skip
"""Common abbreviations of tissues and of samples taken from them."""

ASSAYS = {"chromium": "10x", "genomic": "", "prime": "", "5p": "5", "3p": "3"}
"""Vendor terms of assays in the words of the ontology; a word mapped to "" is dropped."""


@dataclass(frozen=True)
class Expansion:
    """One expansion of an abbreviation."""

    words: tuple[str, ...]
    credit: float
    """Confidence of the expansion, in [0, 1]."""
    doubtful: bool = False
    """Whether it is derived from letters alone and needs other support."""


class Abbreviations:
    """Expansions of abbreviations by the names of one ontology: initials, prefixes and skeletons of their words.

    Parameters
    ----------
    names
        For each name its words, and the prominence of its term (grows with the number of descendants).
    short
        Whether abbreviations are expanded; otherwise only misspelt words are corrected.
    """

    def __init__(self, names: Iterable[tuple[tuple[str, ...], float]], *, short: bool) -> None:
        self._explains_short = short
        self._explained: dict[tuple[str, bool], tuple[Expansion, ...]] = {}
        self._initials: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        self._names_with: dict[str, int] = defaultdict(int)
        self._alone: set[str] = set()
        for words, prominence in names:
            telling = tuple(word for word in words if word != "cell")
            for word in telling:
                self._names_with[word] += 1
            if len(telling) == 1 and telling[0].isalpha():
                self._alone.add(telling[0])
            if not short:
                continue
            adjectives = tuple(ADJECTIVE_OF.get(word, word) for word in words)
            for letters in {_initials(words), _initials(telling), _initials(adjectives)}:
                if 2 <= len(letters) <= 6 and len(telling) > 1:
                    before = self._initials[letters].get(telling, 0.0)
                    self._initials[letters][telling] = max(before, prominence)

    def knows(self, word: str) -> bool:
        """Tell whether any name contains the word."""
        return word in self._names_with

    def common(self, word: str) -> bool:
        """Tell whether the word is a complete name or occurs in at least ten names."""
        return word in self._alone or self._names_with.get(word, 0) >= 10

    def explain(self, word: str, *, capitals: bool = False) -> tuple[Expansion, ...]:
        """Return the expansions of a word, most likely first.

        A word in ``capitals`` is expanded by initials only, because it may be a gene symbol.
        """
        key = (word, capitals)
        if key not in self._explained:
            self._explained[key] = self._explain(word, capitals=capitals)
        return self._explained[key]

    def _explain(self, word: str, *, capitals: bool) -> tuple[Expansion, ...]:
        if not self._explains_short:
            return self._misspelt(word)
        if glued := self._parted(word):
            return (Expansion(glued, 0.95),)
        return self._short_for(word, capitals=capitals) or self._misspelt(word)

    def _short_for(self, word: str, *, capitals: bool) -> tuple[Expansion, ...]:
        initials = self._initials.get(word, {})
        weight = max(initials.values(), default=1.0)
        # Initials of three letters, or of a term with many descendants, are more reliable.
        least = (0.35 if len(word) > 2 else 0.2) + 0.3 * min(1.0, math.log(weight + 1) / math.log(20))
        found = _shared(initials, least, 0.1)
        if not capitals and word.isalpha() and not found:
            if len(word) >= 3:
                begun = {
                    (other,): float(number)
                    for other, number in self._names_with.items()
                    if other.startswith(word) and other != word
                }
                found = _shared(begun, 0.55, 0.4, unique=len(word) >= UNIQUE)
            if not found and 2 <= len(word) <= 5:
                kept = {(other,): float(self._names_with[other]) for other in self._alone if _skeleton(word, other)}
                found = _shared(kept, 0.4, 0.35)
        return found

    def _misspelt(self, word: str) -> tuple[Expansion, ...]:
        if len(word) < 6 or not word.isalpha():
            return ()
        near = get_close_matches(word, [other for other in self._names_with if other[0] == word[0]], TOP, 0.87)
        return tuple(Expansion((other,), 0.9, not _slip(word, other)) for other in near)

    def _parted(self, word: str) -> tuple[str, ...]:
        # Words written together: "memoryt", "thelper", "naivecytotoxic".
        ends = ((word[:-1], word[-1:]), (word[:1], word[1:]))
        for first, last in ends:
            letter, rest = (last, first) if len(last) == 1 else (first, last)
            if letter in ("t", "b") and len(rest) > 2 and (rest in SHORT or (len(rest) > 3 and self.knows(rest))):
                whole = tuple(SHORT.get(rest, rest).split())
                return (*whole, letter)
        if (marked := _MARKED.fullmatch(word)) and (marked[2] in SHORT or self.knows(marked[2])):
            return (f"{marked[1]}+", *SHORT.get(marked[2], marked[2]).split())
        for place in range(4, len(word) - 3):
            if self.knows(word[:place]) and self.knows(word[place:]):
                return (word[:place], word[place:])
        return ()


def _initials(words: tuple[str, ...]) -> str:
    return "".join(word if word.isdigit() else word[0] for word in words if word not in ("of", "the", "in", "and"))


def _skeleton(short: str, word: str) -> bool:
    if word[0] != short[0] or len(word) < 2 * len(short):
        return False
    letters = iter(word)
    return all(letter in letters for letter in short)


def _slip(written: str, word: str) -> bool:
    """Tell whether a word differs by one doubled, dropped or transposed letter; other edits may give another word."""
    doubled = any(written[:at] + written[at + 1 :] == word and written[at] == written[at - 1]
                  for at in range(1, len(written)))  # fmt: skip
    dropped = any(word[:at] + word[at + 1 :] == written for at in range(len(word)))
    swapped = len(word) == len(written) and any(
        written[:at] + written[at + 1] + written[at] + written[at + 2 :] == word for at in range(len(written) - 1)
    )
    return doubled or dropped or swapped


def _shared(
    weights: Mapping[tuple[str, ...], float], least: float, more: float, *, unique: bool = False
) -> tuple[Expansion, ...]:
    whole = sum(weights.values())
    best = sorted(weights, key=lambda words: (-weights[words], words))[:TOP]
    return tuple(
        Expansion(
            words,
            least * (weights[words] / weights[best[0]]) ** 0.25 + more * weights[words] / whole,
            not (unique and weights[words] > 0.6 * whole),
        )
        for words in best
    )
