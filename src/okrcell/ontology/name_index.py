"""Search structures over ontology names: inverted index of words, embeddings, anatomy words."""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from okrcell.evidence import TextEmbedder
from okrcell.ontology.abbreviations import (
    ASSAY_ABBREVIATIONS,
    CELL_TYPE_ABBREVIATIONS,
    DISEASE_ABBREVIATIONS,
    TISSUE_ABBREVIATIONS,
    Abbreviations,
)
from okrcell.ontology.label_parsing import FILLER_WORDS, LOW_WEIGHT_WORDS, normalize_words
from okrcell.ontology.ontology import Ontology, ontology
from okrcell.ontology.published_names import PUBLISHED_SYNONYMS
from okrcell.storage import cache_folder
from okrcell.vector_cache import load_vectors, store_vectors

MAX_NAMES_WITH_SYNONYMS = 20_000
"""Maximum number of names with synonyms; above it only the names of the terms are embedded (a tenth of the time)."""
MAX_NAME_WORDS = 3
"""Maximum number of words of an anatomical name."""
MAX_STRUCTURE_DESCENDANTS = 2500
"""Maximum number of descendants of an informative structure; "organ", "head" and "tissue" have more."""
NERVOUS_SYSTEM = "UBERON:0001016"
"""Nervous system: informative in spite of its many descendants."""
VESSEL = "UBERON:0000055"
"""Vessel: compatible with every tissue."""
_ADJECTIVE_ENDING = re.compile(r"(ous|ary|ine|eal|ial|ual|al|ar|ic|um|us|ae|is|ex|ix|on|a|e|y)$")
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


class NameVectors:
    """Unit vectors of names, for nearest-term search."""

    def __init__(self, term_ids: Sequence[str], vectors: NDArray[np.float32], embedder: TextEmbedder) -> None:
        self._term_ids = term_ids
        self._vectors = vectors
        self._embedder = embedder

    def nearest(self, texts: Sequence[str], top: int) -> list[tuple[str, float]]:
        """Return (term id, cosine) of the ``top`` terms whose names are nearest to any of ``texts``, nearest first."""
        cosines = (self._embedder.embed_texts(list(texts)) @ self._vectors.T).max(axis=0)
        cosine_by_term: dict[str, float] = {}
        for i in np.argsort(-cosines, kind="stable"):
            cosine_by_term.setdefault(self._term_ids[int(i)], float(cosines[i]))
            if len(cosine_by_term) == top:
                break
        return list(cosine_by_term.items())


def load_name_vectors(source_ontology: Ontology, embedder: TextEmbedder, folder: Path | None = None) -> NameVectors:
    """Load the vectors of an ontology's names, or compute and store them in ``folder`` (default: the user's cache).

    The file name depends on encoder and names, so another encoder or release has its own file.
    """
    folder = cache_folder().parent if folder is None else folder
    term_ids, names = _ontology_names(source_ontology.prefix)
    key = hashlib.sha256("\n".join((embedder.name, *names)).encode()).hexdigest()[:16]
    path = folder / f"names-{source_ontology.prefix}-{key}.npy"
    return NameVectors(term_ids, _load_or_embed(path, names, embedder), embedder)


def _load_or_embed(path: Path, names: tuple[str, ...], embedder: TextEmbedder) -> NDArray[np.float32]:
    cached = load_vectors(path, len(names))
    if cached is not None:
        return cached
    vectors = embedder.embed_texts(names).astype(np.float32)
    store_vectors(path, vectors)
    return vectors


@cache
def _ontology_names(prefix: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    source_ontology = ontology(prefix)
    terms = [source_ontology.term(term_id) for term_id in source_ontology.term_ids()]
    names = [(term.id, name) for term in terms for name in dict.fromkeys((term.name, *term.synonyms))]
    if len(names) > MAX_NAMES_WITH_SYNONYMS:
        names = [(term.id, term.name) for term in terms]
    return tuple(term_id for term_id, _ in names), tuple(name for _, name in names)


def find_structures(words: Sequence[str]) -> frozenset[str]:
    """Return the Uberon ids named by ``words`` (normalised by `normalize_words`): "decidual" names the decidua."""
    structure_ids: set[str] = set()
    start = 0
    while start < len(words):
        for length in range(min(MAX_NAME_WORDS, len(words) - start), 0, -1):
            if run_ids := _structures_of_run(" ".join(words[start : start + length])):
                structure_ids |= run_ids
                break
        else:
            length = 1
        start += length
    return frozenset(structure_ids)


def is_structure(word: str) -> bool:
    """Tell whether a single word names an anatomical structure."""
    return bool(_structures_of_run(word))


def names_unrelated_structure(name_words: Sequence[str], label_words: Sequence[str], tissue_id: str) -> bool:
    """Tell whether a name mentions structures that are not in the label, all of them unrelated to the tissue."""
    structure_ids = find_structures([word for word in name_words if word not in label_words]) - find_structures(
        label_words
    )
    return bool(structure_ids) and _is_current_tissue(tissue_id) and not structure_ids & _related_structures(tissue_id)


def mentions_tissue(words: Sequence[str], tissue_id: str) -> bool:
    """Tell whether words name the tissue, a part of it, or a structure that it is part of."""
    return _is_current_tissue(tissue_id) and bool(find_structures(words) & _tissue_lineage(tissue_id))


def _is_current_tissue(tissue_id: str) -> bool:
    return ontology("UBERON").current_id(tissue_id) is not None


@lru_cache(512)
def _related_structures(tissue_id: str) -> frozenset[str]:
    uberon = ontology("UBERON")
    return uberon.overlapping(tissue_id) | uberon.descendants(VESSEL) | {VESSEL}


@lru_cache(512)
def _tissue_lineage(tissue_id: str) -> frozenset[str]:
    uberon = ontology("UBERON")
    lineage = {tissue_id, *uberon.descendants(tissue_id), *uberon.ancestors(tissue_id)}
    return frozenset(
        term
        for term in lineage
        if uberon.n_descendants.get(term, 0) <= MAX_STRUCTURE_DESCENDANTS or term == NERVOUS_SYSTEM
    )


@lru_cache(50_000)
def _structures_of_run(run: str) -> frozenset[str]:
    if run in FILLER_WORDS:
        return frozenset()
    term = ontology("UBERON").find(run)
    if term is not None:
        return frozenset({term.id})
    return frozenset() if " " in run else frozenset(_structures_by_stem().get(_stem(run), ()))


def _stem(word: str) -> str:
    if word.endswith("ocyte"):
        return word.removesuffix("ocyte")  # "thymocyte" names the thymus
    stem = _ADJECTIVE_ENDING.sub("", word)
    return stem if len(stem) >= 5 else ""


@cache
def _structures_by_stem() -> dict[str, set[str]]:
    uberon = ontology("UBERON")
    stems: dict[str, set[str]] = defaultdict(set)
    for term_id in uberon.term_ids():
        name = uberon.names_of(term_id)[0].lower()
        stem = _ADJECTIVE_ENDING.sub("", name)
        if name.isalpha() and len(stem) >= 4:
            stems[stem].add(term_id)
    return dict(stems)


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
    is_published: bool = False
    """Whether it is one of `PUBLISHED_SYNONYMS`."""

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is an ambiguous synonym of at most four letters."""
        return (
            not self.is_published
            and len(self.words) == 1
            and self.method == "synonym"
            and all(len(word) <= 4 for word in self.words)
        )


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
        """Weight of each word by rarity: from 2 for "T" to 6 for a word of one name; 0.4 for `LOW_WEIGHT_WORDS`."""
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
        type_words = [word for word in words if word in self._single_word_names and not is_structure(word)]
        nouns = [word for word in type_words if not _ADJECTIVE_WORD.fullmatch(word)]
        if nouns:
            return frozenset(nouns[-1:])
        return frozenset(type_words or [word for word in words if is_structure(word)][-1:])

    @cached_property
    def _single_word_names(self) -> frozenset[str]:
        names = (entry.words for entry in self.entries if entry.method == "name" and len(entry.words) == 1)
        return frozenset(chain.from_iterable(names))

    def is_matchable(self, term_id: str) -> bool:
        """Tell whether a label can match this term: below the `MATCHABLE_ROOTS` of its ontology, and not specific to mice."""
        roots = MATCHABLE_ROOTS.get(self.ontology.prefix)
        inside = roots is None or bool(self.ontology.ancestors(term_id).intersection(roots))
        return inside and not self.ontology.names_of(term_id)[0].endswith("(Mmus)")

    @cached_property
    def _non_vertebrate_ids(self) -> frozenset[str]:
        """Terms of fungi, plants and prokaryotes, which are matched by their full name only."""
        if self.ontology.prefix != "CL":
            return frozenset()
        term_ids = self.ontology.term_ids()
        named = frozenset(term_id for term_id in term_ids if _NON_VERTEBRATE.search(self.ontology.names_of(term_id)[0]))
        return named.union(term_id for term_id in term_ids if not named.isdisjoint(self.ontology.ancestors(term_id)))

    @cached_property
    def _published_words(self) -> list[tuple[str, Literal["name", "synonym"], tuple[str, ...]]]:
        published = PUBLISHED_SYNONYMS if self.ontology.prefix == "CL" else {}
        return [(term_id, "synonym", normalize_words(name)) for term_id, names in published.items() for name in names]

    @cached_property
    def published(self) -> Mapping[frozenset[str], str]:
        """Term ids by the words of the `PUBLISHED_SYNONYMS`, with abbreviations expanded."""
        n_own = len(self._words_of_names)
        return {entry.words: entry.term_id for entry in self.entries[n_own:]}

    @cached_property
    def _words_of_names(self) -> list[tuple[str, Literal["name", "synonym"], tuple[str, ...]]]:
        names: list[tuple[str, Literal["name", "synonym"], tuple[str, ...]]] = []
        for term_id in self.ontology.term_ids():
            if self.is_matchable(term_id) and term_id not in self._non_vertebrate_ids:
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
        all_names = [*self._words_of_names, *self._published_words]
        for i, (_, method, words) in enumerate(all_names):
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
            OntologyName(
                term_id,
                words,
                filler,
                math.fsum(weights[word] for word in words),
                method,
                i >= len(self._words_of_names),
            )
            for i, ((term_id, method, _), words, filler) in enumerate(
                zip(all_names, content_words, filler_words, strict=True)
            )
        ]
        return entries, dict(entries_by_word), weights


def _word_weight(word: str, fraction: float) -> float:
    return 0.4 if word in LOW_WEIGHT_WORDS else min(6.0, max(2.0, -math.log(fraction) - 1))
