"""Inverted index from words to the names and synonyms of an ontology."""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from okrcell.ontology.abbreviations import (
    ASSAY_ABBREVIATIONS,
    CELL_TYPE_ABBREVIATIONS,
    DISEASE_ABBREVIATIONS,
    TISSUE_ABBREVIATIONS,
    Abbreviations,
)
from okrcell.knowledge.matching.meaning import FILLER_WORDS, LOW_WEIGHT_WORDS, normalize_words
from okrcell.knowledge.matching.places import is_structure
from okrcell.ontology.ontology import Ontology

LABEL_ABBREVIATIONS = {
    "CL": CELL_TYPE_ABBREVIATIONS,
    "UBERON": TISSUE_ABBREVIATIONS,
    "MONDO": DISEASE_ABBREVIATIONS,
    "EFO": ASSAY_ABBREVIATIONS,
}
"""Abbreviations that are expanded in labels, by ontology prefix; for the Cell Ontology in synonyms as well."""

MATCHABLE_ROOTS = {"EFO": ("EFO:0002772", "EFO:0010183")}
"""Roots of the part of an ontology that labels can match: assays by molecule and single-cell library construction."""


_NON_VERTEBRATE = re.compile(r"\b(fungal|prokaryotic|plant|spore)\b|\(sensu (?!Vertebrata|Mammalia)")
_ADJECTIVE_WORD = re.compile(r".{3,}(al|ar|ic|ed|ory|ive|ous|ing|id)")


@dataclass(frozen=True)
class OntologyName:
    """Name or synonym of a term, as words."""

    term_id: str
    words: frozenset[str]
    """Words used for matching."""
    filler_words: frozenset[str]
    """Filler words (`FILLER_WORDS`)."""
    weight: float
    """Sum of the weights of its words."""
    method: Literal["name", "synonym"]

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is an ambiguous synonym of at most four letters."""
        return len(self.words) == 1 and self.method == "synonym" and all(len(word) <= 4 for word in self.words)


class NameIndex:
    """Inverted index of the names of an ontology, with word weights; built at first use."""

    def __init__(self, source_ontology: Ontology) -> None:
        self.ontology = source_ontology
        self.expansions = {
            abbreviation: normalize_words(expansion)
            for abbreviation, expansion in LABEL_ABBREVIATIONS.get(source_ontology.prefix, {}).items()
        }

    @property
    def entries(self) -> list[OntologyName]:
        """All names and synonyms, in the order of the terms."""
        return self._index[0]

    def entries_with_word(self, word: str) -> list[int]:
        """Return the indices of the `entries` that contain ``word``."""
        return self._index[1].get(word, [])

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each word by rarity: from 2 for "T" to 6 for a word of one name; 0.4 for the words of `FAINT`."""
        return self._index[2]

    @cached_property
    def abbreviations(self) -> Abbreviations:
        """Abbreviations derived from the names; outside the Cell Ontology only misspelt words are corrected."""
        n_descendants = self.ontology.n_descendants
        names = ((words, 1.0 + n_descendants.get(term_id, 0)) for term_id, _, words in self._words_of_names)
        return Abbreviations(names, expand_short=self.ontology.prefix == "CL")

    def heads(self, words: Sequence[str]) -> frozenset[str]:
        """Return the head words of a label (Cell Ontology only); a matching term must contain one of them.

        The head is the last noun that is a cell type name by itself ("macrophage", "T"); without one, the adjectives
        ("endothelial", "basal"); without those, the last anatomical word ("mucosa").

        Parameters
        ----------
        words
            Words of the label, in their order.
        """
        if self.ontology.prefix != "CL":
            return frozenset()
        type_words = [word for word in words if word in self._type_words]
        nouns = [word for word in type_words if not _ADJECTIVE_WORD.fullmatch(word)]
        if nouns:
            return frozenset(nouns[-1:])
        return frozenset(type_words or [word for word in words if is_structure(word)][-1:])

    @cached_property
    def _type_words(self) -> frozenset[str]:
        single_words = (entry.words for entry in self.entries if entry.method == "name" and len(entry.words) == 1)
        return frozenset(word for words in single_words for word in words if not is_structure(word))

    def is_matchable(self, term_id: str) -> bool:
        """Tell whether a label can match this term: below the `MATCHABLE_ROOTS` of its ontology, and not specific to mice."""
        roots = MATCHABLE_ROOTS.get(self.ontology.prefix)
        inside = roots is None or bool(self.ontology.ancestors(term_id).intersection(roots))
        return inside and not self.ontology.names_of(term_id)[0].endswith("(Mmus)")

    def _is_non_vertebrate(self, term_id: str) -> bool:
        # Terms of fungi, plants and prokaryotes are matched by their full name only.
        ancestor_names = (
            self.ontology.names_of(ancestor)[0]
            for ancestor in self.ontology.ancestors(term_id)
            if self.ontology.current_id(ancestor)
        )
        return self.ontology.prefix == "CL" and any(
            map(_NON_VERTEBRATE.search, (self.ontology.names_of(term_id)[0], *ancestor_names))
        )

    @cached_property
    def _words_of_names(self) -> list[tuple[str, Literal["name", "synonym"], tuple[str, ...]]]:
        names: list[tuple[str, Literal["name", "synonym"], tuple[str, ...]]] = []
        for term_id in self.ontology.term_ids():
            if self.is_matchable(term_id) and not self._is_non_vertebrate(term_id):
                name, *synonyms = self.ontology.names_of(term_id)
                names.append((term_id, "name", normalize_words(name)))
                names.extend((term_id, "synonym", normalize_words(synonym)) for synonym in synonyms)
        return names

    @cached_property
    def _index(self) -> tuple[list[OntologyName], dict[str, list[int]], dict[str, float]]:
        content_words: list[frozenset[str]] = []
        filler_words: list[frozenset[str]] = []
        entries_by_word: dict[str, list[int]] = defaultdict(list)
        expansions = self.expansions if self.ontology.prefix == "CL" else {}
        for i, (_, method, words) in enumerate(self._words_of_names):
            # Only synonyms are expanded: the "endo" of an endo-epithelial cell is not endothelium.
            expanded = frozenset(
                expanded_word
                for word in words
                for expanded_word in (expansions.get(word, (word,)) if method == "synonym" else (word,))
            )
            content_words.append(expanded - FILLER_WORDS or expanded)
            filler_words.append((expanded & FILLER_WORDS) - {"cell"})
            for word in content_words[-1]:
                entries_by_word[word].append(i)
        weights = {
            word: _word_weight(word, len(indices) / len(content_words)) for word, indices in entries_by_word.items()
        }
        entries = [
            OntologyName(term_id, words, filler, sum(weights[word] for word in words), method)
            for (term_id, method, _), words, filler in zip(
                self._words_of_names, content_words, filler_words, strict=True
            )
        ]
        return entries, dict(entries_by_word), weights


def _word_weight(word: str, fraction: float) -> float:
    return 0.4 if word in LOW_WEIGHT_WORDS else min(6.0, max(2.0, -math.log(fraction) - 1))
