"""Inverted index from words to the names and synonyms of an ontology."""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from okrcell.knowledge.matching.abbreviations import ASSAYS, DISEASES, SHORT, TISSUES, Abbreviations
from okrcell.knowledge.matching.meaning import FAINT, SILENT, meaning
from okrcell.knowledge.matching.places import is_place
from okrcell.knowledge.ontology import Ontology

WRITTEN_SHORT = {"CL": SHORT, "UBERON": TISSUES, "MONDO": DISEASES, "EFO": ASSAYS}
"""Abbreviations that are expanded in labels, by ontology prefix; for the Cell Ontology in synonyms as well."""

ROOTS = {"EFO": ("EFO:0002772", "EFO:0010183")}
"""Roots of the part of an ontology that labels can match: assays by molecule and single-cell library construction."""


_NOT_HUMAN = re.compile(r"\b(fungal|prokaryotic|plant|spore)\b|\(sensu (?!Vertebrata|Mammalia)")
_ADJECTIVE = re.compile(r".{3,}(al|ar|ic|ed|ory|ive|ous|ing|id)")


@dataclass(frozen=True)
class Entry:
    """Name or synonym of a term, as words."""

    term_id: str
    words: frozenset[str]
    """Words used for matching."""
    silent: frozenset[str]
    """Filler words (`SILENT`)."""
    weight: float
    """Sum of the weights of its words."""
    how: Literal["name", "synonym"]

    @property
    def short(self) -> bool:
        """Whether it is an ambiguous synonym of at most four letters."""
        return len(self.words) == 1 and self.how == "synonym" and all(len(word) <= 4 for word in self.words)


class WordIndex:
    """Inverted index of the names of an ontology, with word weights; built at first use."""

    def __init__(self, home: Ontology) -> None:
        self.home = home
        self.short = {short: meaning(long) for short, long in WRITTEN_SHORT.get(home.prefix, {}).items()}

    @property
    def entries(self) -> list[Entry]:
        """All names and synonyms, in the order of the terms."""
        return self._built[0]

    def with_word(self, word: str) -> list[int]:
        """Return the indices of the `entries` that contain ``word``."""
        return self._built[1].get(word, [])

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each word by rarity: from 2 for "T" to 6 for a word of one name; 0.4 for the words of `FAINT`."""
        return self._built[2]

    @cached_property
    def abbreviations(self) -> Abbreviations:
        """Abbreviations derived from the names; outside the Cell Ontology only misspelt words are corrected."""
        below = self.home.kinds_below
        names = ((words, 1.0 + below.get(term_id, 0)) for term_id, _, words in self._named)
        return Abbreviations(names, short=self.home.prefix == "CL")

    def heads(self, words: Sequence[str]) -> frozenset[str]:
        """Return the head words of a label (Cell Ontology only); a matching term must contain one of them.

        The head is the last noun that is a cell type name by itself ("macrophage", "T"); without one, the adjectives
        ("endothelial", "basal"); without those, the last anatomical word ("mucosa").

        Parameters
        ----------
        words
            Words of the label, in their order.
        """
        if self.home.prefix != "CL":
            return frozenset()
        kinds = [word for word in words if word in self._kinds]
        nouns = [word for word in kinds if not _ADJECTIVE.fullmatch(word)]
        if nouns:
            return frozenset(nouns[-1:])
        return frozenset(kinds or [word for word in words if is_place(word)][-1:])

    @cached_property
    def _kinds(self) -> frozenset[str]:
        alone = (entry.words for entry in self.entries if entry.how == "name" and len(entry.words) == 1)
        return frozenset(word for words in alone for word in words if not is_place(word))

    def in_reach(self, term_id: str) -> bool:
        """Tell whether a label can match this term: below the `ROOTS` of its ontology, and not specific to mice."""
        roots = ROOTS.get(self.home.prefix)
        inside = roots is None or bool(self.home.ancestors(term_id).intersection(roots))
        return inside and not self.home.names_of(term_id)[0].endswith("(Mmus)")

    def _is_strange(self, term_id: str) -> bool:
        # Terms of fungi, plants and prokaryotes are matched by their full name only.
        above = (self.home.names_of(one)[0] for one in self.home.ancestors(term_id) if self.home.current(one))
        return self.home.prefix == "CL" and any(map(_NOT_HUMAN.search, (self.home.names_of(term_id)[0], *above)))

    @cached_property
    def _named(self) -> list[tuple[str, Literal["name", "synonym"], tuple[str, ...]]]:
        named: list[tuple[str, Literal["name", "synonym"], tuple[str, ...]]] = []
        for term_id in self.home.terms():
            if self.in_reach(term_id) and not self._is_strange(term_id):
                name, *synonyms = self.home.names_of(term_id)
                named.append((term_id, "name", meaning(name)))
                named.extend((term_id, "synonym", meaning(synonym)) for synonym in synonyms)
        return named

    @cached_property
    def _built(self) -> tuple[list[Entry], dict[str, list[int]], dict[str, float]]:
        telling: list[frozenset[str]] = []
        silent: list[frozenset[str]] = []
        having: dict[str, list[int]] = defaultdict(list)
        short = self.short if self.home.prefix == "CL" else {}
        for number, (_, how, words) in enumerate(self._named):
            # Only synonyms are expanded: the "endo" of an endo-epithelial cell is not endothelium.
            written = frozenset(
                other for word in words for other in (short.get(word, (word,)) if how == "synonym" else (word,))
            )
            telling.append(written - SILENT or written)
            silent.append((written & SILENT) - {"cell"})
            for word in telling[-1]:
                having[word].append(number)
        weights = {word: _weight(word, len(some) / len(telling)) for word, some in having.items()}
        entries = [
            Entry(term_id, words, unneeded, sum(weights[word] for word in words), how)
            for (term_id, how, _), words, unneeded in zip(self._named, telling, silent, strict=True)
        ]
        return entries, dict(having), weights


def _weight(word: str, share: float) -> float:
    return 0.4 if word in FAINT else min(6.0, max(2.0, -math.log(share) - 1))
