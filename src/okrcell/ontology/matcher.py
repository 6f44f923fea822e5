"""Rank the terms of an ontology for an author label."""

import html
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from heapq import nlargest, nsmallest
from typing import Literal

from okrcell.evidence import TextEmbedder
from okrcell.ontology.label_parsing import (
    FILLER_WORDS,
    alternatives,
    bracketed_words,
    capitalized_words,
    clean_label,
    is_tumor,
    normalize_words,
    open_brackets,
    opposite_signs,
    qualifier,
    remove_group_letter,
    remove_remarks,
    running_number,
)
from okrcell.ontology.label_reading import LabelReading, expand_abbreviations
from okrcell.ontology.name_index import NameIndex, OntologyName, mentions_tissue, names_unrelated_structure
from okrcell.ontology.ontology import Ontology, Term, ontology
from okrcell.ontology.published_names import GREEK_CELLS, TISSUE_SYNONYMS

MatchMethod = Literal["id", "name", "synonym", "abbreviation", "part", "dense"]
"""Basis of a match: the id, the name or a synonym of the term; equal words after expansion of abbreviations; part of the
words of the label, so that the term is broader; or cosine similarity of embeddings."""
METHOD_ORDER: tuple[MatchMethod, ...] = ("id", "name", "synonym", "abbreviation", "part", "dense")
"""From the most to the least reliable."""
MIN_MATCH_SCORE = 0.6
"""Minimum score of a match that is accepted without review."""
BROADER_EXPONENT, NARROWER_EXPONENT = 0.5, 2.0
"""Exponents of the penalties for words of the label missing in the term, and for words of the term missing in the label."""
DOUBTFUL_SCORE = 0.55
"""Maximum score of a match by embeddings alone; doubtful matches are compressed between this score and `MIN_MATCH_SCORE`."""
PRECURSOR_WORDS = frozenset({"precursor", "stem"})
"""Words that turn a cell type into another one, where other words only narrow it."""
MAX_COMMON_DESCENDANTS = 600
"""Maximum number of descendants of a common ancestor of two types; "cell" and "motile cell" have more."""
MIN_REFINED_SCORE = 0.45
"""Minimum score of a broader term that is refined to a subtype."""
REFINED_SCORE = 0.93
"""Score of a subtype whose name is composed of a name of its ancestor and the other words of the label."""
TISSUE_FACTOR = 1.06
"""Score factor for the term of an abbreviation whose definition mentions the tissue of the cells."""


@dataclass(frozen=True)
class TermMatch:
    """Candidate term of a label, with score."""

    term: Term
    score: float
    """Score in [0, 1]: 1 for an id, at least `MIN_MATCH_SCORE` if it is accepted without review."""
    method: MatchMethod
    omitted: tuple[str, ...] = ()
    """Words of the label that neither the name nor an ancestor of the term contains: the term is broader than the label."""


@dataclass(frozen=True)
class _ScoredTerm:
    term_id: str
    score: float
    method: MatchMethod
    is_guess: bool = False
    """Whether it is based on letters alone."""
    is_doubtful: bool = False
    """Whether its score was lowered below `MIN_MATCH_SCORE`; it is not raised again."""
    omitted: tuple[str, ...] = ()


class OntologyMatcher:
    """Matcher of labels to the names and synonyms of one ontology."""

    def __init__(self, source_ontology: Ontology) -> None:
        self.ontology = source_ontology
        self._index = NameIndex(source_ontology)

    def match(
        self, label: str, *, tissue_id: str = "", embedder: TextEmbedder | None = None, top: int = 5
    ) -> tuple[TermMatch, ...]:
        """Return the candidate terms of ``label``, best first, each term once; empty for a placeholder.

        Parameters
        ----------
        label
            An id, a name, a synonym, an abbreviation, or words that contain one of them.
        tissue_id
            Uberon id of the tissue of the cells: it resolves "beta" in the islets.
        embedder
            Text embedder, used if no candidate by words is accepted. The vectors of all names are computed at the
            first use and cached on disk.
        top
            Maximum number of terms.
        """
        candidates: dict[str, _ScoredTerm] = {}
        for candidate in self._lexical_matches(label, tissue_id):
            previous = candidates.get(candidate.term_id)
            if previous is None or candidate.score > previous.score:
                candidates[candidate.term_id] = candidate
        for candidate in nlargest(3, candidates.values(), key=lambda candidate: candidate.score):
            refined = self._refine(candidate, label, tissue_id)
            if refined is not None and refined.score > candidates.get(refined.term_id, refined).score - 1e-9:
                candidates[refined.term_id] = refined
        if tissue_words := self._tissue_words(tissue_id):
            for candidate in nlargest(8, candidates.values(), key=lambda candidate: candidate.score):
                is_abbreviation = (
                    candidate.method == "abbreviation" and candidate.score < 0.9 and not candidate.is_doubtful
                )
                if is_abbreviation and tissue_words & frozenset(
                    normalize_words(self.ontology.term(candidate.term_id).definition)
                ):
                    candidates[candidate.term_id] = replace(candidate, score=min(0.9, candidate.score * TISSUE_FACTOR))
        if capitalized_words(label) and any(
            candidate.is_guess and self._names_tissue(candidate, tissue_id) for candidate in candidates.values()
        ):
            # In the liver "HSC" may be a hepatic stellate cell or a haematopoietic stem cell.
            for candidate in candidates.values():
                if candidate.is_guess and not self._names_tissue(candidate, tissue_id):
                    candidates[candidate.term_id] = _lower_score(candidate)
        best_score = max((candidate.score for candidate in candidates.values()), default=0.0)
        if embedder is not None and best_score < MIN_MATCH_SCORE and clean_label(label) and not is_tumor(label):
            for candidate in self._dense_matches(label, embedder, 10):
                # Matches by embeddings are less often correct than even weak matches by words, so they rank below.
                lowered = (
                    candidate if best_score == 0 else replace(candidate, score=min(candidate.score, 0.99 * best_score))
                )
                candidates.setdefault(candidate.term_id, lowered)
        ranked = nsmallest(
            top,
            candidates.values(),
            key=lambda candidate: (-candidate.score, METHOD_ORDER.index(candidate.method), candidate.term_id),
        )
        return tuple(
            TermMatch(self.ontology.term(candidate.term_id), candidate.score, candidate.method, candidate.omitted)
            for candidate in ranked
        )

    def _lexical_matches(self, label: str, tissue_id: str) -> Iterator[_ScoredTerm]:
        current_id = self.ontology.current_id(label)
        if current_id is not None:
            yield _ScoredTerm(current_id, 1.0, "id")
            return
        cleaned = clean_label(label)
        if not cleaned:
            return
        # The qualifier is recognised by the underscores of the raw label.
        label = remove_group_letter(" ".join(html.unescape(label).split()))
        published_id = self._published_id(label, tissue_id)
        if published_id is not None:
            yield _ScoredTerm(published_id, 0.98, "synonym")
        is_whole = published_id is not None or is_tumor(label) or self.ontology.find_exact(cleaned) is not None
        parts = () if is_whole else self._split_alternatives(label)
        for term, score in ((self.ontology.find_exact(cleaned), 0.99), (self.ontology.find(cleaned), 0.97)):
            if term is not None and self._index.is_matchable(term.id):
                if self.ontology.has_name(cleaned, term.id):
                    yield _ScoredTerm(term.id, score, "name")
                    continue
                candidate = _ScoredTerm(term.id, score - 0.02, "synonym")
                is_doubtful = parts or self._conflicts_with_tissue(term.id, normalize_words(label), tissue_id)
                yield _lower_score(candidate) if is_doubtful else candidate
        common_matches = list(self._alternative_matches(parts, tissue_id)) if parts else []
        common_ids = {candidate.term_id for candidate in common_matches}
        for candidate in self._word_matches(label, tissue_id, require_all=is_tumor(label)):
            # A label with two alternatives matches neither of them.
            yield _lower_score(candidate) if parts and candidate.term_id not in common_ids else candidate
        yield from common_matches

    def _published_id(self, label: str, tissue_id: str) -> str | None:
        """Return the term whose published synonym has the same words as the label."""
        words = normalize_words(label)
        if self.ontology.prefix == "CL":
            name = tuple(word for word in words if word != "cell")
            for organ, synonyms in _synonyms_by_organ().items() if tissue_id else ():
                if name in synonyms and mentions_tissue((organ,), tissue_id):
                    return synonyms[name]
            greek_id = GREEK_CELLS.get(" ".join(words))
            if greek_id is not None and (not tissue_id or mentions_tissue(("pancreas",), tissue_id)):
                return greek_id
        expanded = frozenset(part for word in words for part in self._index.expansions.get(word, (word,)))
        return self._index.published.get(expanded - FILLER_WORDS or expanded)

    def _split_alternatives(self, label: str) -> tuple[str, ...]:
        parts = alternatives(label)
        if parts or label.count("_") != 1:
            return parts
        # "T_NK" names two alternatives; "Epithelial_basal" names a type and its subtype.
        parts = tuple(label.split("_"))
        type_ids = [self._find_type(part.strip()) for part in parts]
        if None in type_ids or type_ids[0] == type_ids[1]:
            return ()
        first, second = (str(type_id) for type_id in type_ids)
        return () if first in self.ontology.ancestors(second) or second in self.ontology.ancestors(first) else parts

    def _find_type(self, part: str) -> str | None:
        term = self.ontology.find(part) or self.ontology.find(" ".join(self._index.expansions.get(part.lower(), ())))
        return None if term is None else term.id

    def _word_matches(self, label: str, tissue_id: str, *, require_all: bool) -> Iterator[_ScoredTerm]:
        tissue_words = self._tissue_words(tissue_id)
        label_qualifier, capitalized = qualifier(label), capitalized_words(label)
        label_words = normalize_words(label)
        number_words = frozenset(filter(None, (running_number(label),)))
        bare_label = remove_remarks(label) or label
        qualifier_words = frozenset(normalize_words(label_qualifier)) - frozenset(
            normalize_words(bare_label.removesuffix(label_qualifier))
        )
        qualifier_words |= bracketed_words(label) - frozenset(normalize_words(bare_label))
        for reading in expand_abbreviations(label if require_all else open_brackets(label), self._index):
            word_weights = {word: self._index.weights.get(word, 0.0) for word in reading.words}
            # A word of the label that is missing in a name makes the name broader; the cost depends on the word.
            cost = {
                word: self._omission_cost(word, capitalized, qualifier_words | tissue_words) for word in reading.words
            }
            heads = self._index.heads(_main_words(label, label_qualifier, reading))
            names_precursor = bool(reading.words & PRECURSOR_WORDS - qualifier_words)
            for entry_index, weight in self._shared_weights(word_weights, qualifier_words).items():
                entry = self._index.entries[entry_index]
                if names_precursor and not entry.words & PRECURSOR_WORDS:
                    continue  # a progenitor of enterocytes is not an enterocyte
                if weight < 0.3 * entry.weight or _contradicts(reading.words, entry.words):
                    continue
                missing_words = entry.words - reading.words
                omitted_words = reading.words - entry.words
                implied_words = (
                    omitted_words & self._ancestor_words(entry.term_id) if omitted_words else frozenset[str]()
                )
                # A word of the tissue in the name counts as 0.9 of a word of the label, so a name without it is preferred.
                tissue_weight = 0.9 * math.fsum(self._index.weights[word] for word in missing_words & tissue_words)
                # Labels leave out what a cell lacks: a CD56-bright cell is CD16-negative.
                tissue_weight += 0.75 * math.fsum(
                    self._index.weights[word] for word in missing_words if _is_absence(word)
                )
                label_coverage = weight / (weight + math.fsum(cost[word] for word in omitted_words - implied_words))
                name_coverage = (weight + tissue_weight) / entry.weight
                if require_all and label_coverage < 1:
                    continue
                score = 0.95 * reading.confidence * label_coverage**BROADER_EXPONENT * name_coverage**NARROWER_EXPONENT
                score -= 0.01 * (entry.method == "synonym") + 0.002 * len(entry.filler_words - reading.words)
                if entry.is_ambiguous and not reading.is_expanded:
                    score *= 0.62
                if score > 0.1:
                    method = (
                        "part"
                        if label_coverage < 1 or name_coverage < 0.85
                        else "abbreviation"
                        if reading.is_expanded
                        else entry.method
                    )
                    candidate = _ScoredTerm(
                        entry.term_id,
                        score,
                        method,
                        bool(entry.words & reading.guessed_words),
                        omitted=tuple(sorted(omitted_words - implied_words)),
                    )
                    number_match = number_words & entry.words and not entry.is_published
                    only_precursor = bool(omitted_words) and entry.words <= PRECURSOR_WORDS
                    misses_head = label_coverage < 1 and heads and not self._has_head(entry, heads)
                    is_doubtful = score >= MIN_MATCH_SCORE and (
                        number_match
                        or only_precursor
                        or misses_head
                        or self._is_unsupported_guess(entry, reading, tissue_id)
                        or self._conflicts_with_tissue(
                            entry.term_id, (*label_words, *sorted(reading.words - reading.guessed_words)), tissue_id
                        )
                    )
                    yield _lower_score(candidate) if is_doubtful else candidate

    def _refine(self, candidate: _ScoredTerm, label: str, tissue_id: str) -> _ScoredTerm | None:
        """Return the subtype whose name is a name of the matched term plus the omitted words; None if there is none.

        "ventricular cardiomyocyte" is matched to the cardiomyocyte, a cardiac muscle cell, and refined to the ventricular
        cardiac muscle cell.
        """
        is_numbered = any(word.isdigit() for word in candidate.omitted)
        if not candidate.omitted or is_numbered or candidate.score < MIN_REFINED_SCORE or self.ontology.prefix != "CL":
            return None
        own_words = self._words_of_term(candidate.term_id)
        for entry_index in self._index.entries_with_word(candidate.omitted[0]):
            entry = self._index.entries[entry_index]
            omitted = frozenset(candidate.omitted)
            is_composed = omitted <= entry.words <= own_words | omitted
            is_subtype = is_composed and candidate.term_id in self.ontology.ancestors(entry.term_id)
            if is_subtype and not self._conflicts_with_tissue(entry.term_id, normalize_words(label), tissue_id):
                return _ScoredTerm(entry.term_id, REFINED_SCORE, "abbreviation", candidate.is_guess)
        return None

    def _words_of_term(self, term_id: str) -> frozenset[str]:
        names = self.ontology.names_of(term_id)
        return frozenset(
            part
            for name in names
            for word in normalize_words(name)
            for part in self._index.expansions.get(word, (word,))
        )

    def _has_head(self, entry: OntologyName, heads: frozenset[str]) -> bool:
        """Tell whether the name of an entry or of an ancestor contains one of the head words."""
        return bool(heads & entry.words) or bool(heads & self._ancestor_words(entry.term_id))

    def _is_unsupported_guess(self, entry: OntologyName, reading: LabelReading, tissue_id: str) -> bool:
        """Tell whether an entry is based on letters alone and its term does not mention the tissue of the cells."""
        if not entry.words & reading.guessed_words:
            return False
        if not tissue_id or self.ontology.prefix != "CL":
            return True
        term = self.ontology.term(entry.term_id)
        term_words = (
            *normalize_words(term.name),
            *normalize_words(term.definition),
            *sorted(self._ancestor_words(term.id)),
        )
        return not mentions_tissue(term_words, tissue_id)

    def _names_tissue(self, candidate: _ScoredTerm, tissue_id: str) -> bool:
        """Tell whether the name of a guessed term mentions the tissue."""
        return candidate.score >= 0.3 and mentions_tissue(
            normalize_words(self.ontology.names_of(candidate.term_id)[0]), tissue_id
        )

    def _conflicts_with_tissue(self, term_id: str, label_words: Sequence[str], tissue_id: str) -> bool:
        """Tell whether the term names an anatomical structure that is not in the label and unrelated to the tissue."""
        if not tissue_id or self.ontology.prefix != "CL":
            return False
        name_words = normalize_words(self.ontology.names_of(term_id)[0])
        return names_unrelated_structure(name_words, label_words, tissue_id)

    @lru_cache(8192)  # noqa: B019 - a matcher lives as long as the process
    def _ancestor_words(self, term_id: str) -> frozenset[str]:
        names = (
            self.ontology.names_of(ancestor)[0]
            for ancestor in self.ontology.ancestors(term_id)
            if self.ontology.current_id(ancestor)
        )
        return frozenset(word for name in names for word in normalize_words(name)) - FILLER_WORDS

    def _shared_weights(self, word_weights: Mapping[str, float], qualifier_words: frozenset[str]) -> dict[int, float]:
        weights: dict[int, float] = defaultdict(float)
        for word in sorted(word_weights, key=lambda word: (word in qualifier_words, word)):
            for entry_index in self._index.entries_with_word(word):
                if word not in qualifier_words or entry_index in weights:
                    weights[entry_index] += word_weights[word]
        return weights

    def _omission_cost(self, word: str, capitalized: frozenset[str], qualifier_words: frozenset[str]) -> float:
        if word.isdigit():
            return 0.4
        is_gene = (
            word in capitalized
            or any(character.isdigit() for character in word)
            or word.endswith(("high", "low", "+", "-"))
        )
        cost = self._index.weights.get(word, 0.8 if is_gene else 1.5)
        return 0.25 * cost if word in qualifier_words else cost

    def _alternative_matches(self, parts: Sequence[str], tissue_id: str) -> Iterator[_ScoredTerm]:
        # "Microglia/macrophage" is matched to the nearest common ancestor.
        part_matches = [self.match(part, tissue_id=tissue_id, top=1) for part in parts]
        if all(part_matches):
            common = part_matches[0][0].term.id
            for matches in part_matches[1:]:
                ancestor = self.ontology.common_ancestor(common, matches[0].term.id)
                if ancestor is None:
                    return
                common = ancestor
            steps = max(self.ontology.distance(common, matches[0].term.id) or 0 for matches in part_matches)
            if steps <= 3 and self.ontology.n_descendants.get(common, 0) <= MAX_COMMON_DESCENDANTS:
                yield _ScoredTerm(common, min(matches[0].score for matches in part_matches) * 0.95**steps, "part")

    def _dense_matches(self, label: str, embedder: TextEmbedder, top: int) -> Iterator[_ScoredTerm]:
        from okrcell.ontology.name_index import load_name_vectors

        texts = [clean_label(label), *(reading.text for reading in expand_abbreviations(label, self._index)[:1])]
        for term_id, cosine in load_name_vectors(self.ontology, embedder).nearest(texts, top):
            if self._index.is_matchable(term_id):
                yield _ScoredTerm(term_id, DOUBTFUL_SCORE * max(0.0, min(1.0, (cosine - 0.3) / 0.7)), "dense")

    @lru_cache(4096)  # noqa: B019 - a matcher lives as long as the process
    def _tissue_words(self, tissue_id: str) -> frozenset[str]:
        uberon = ontology("UBERON")
        if uberon.current_id(tissue_id) is None:
            return frozenset()
        structure_ids = [
            tissue_id,
            *(ancestor for ancestor in uberon.ancestors(tissue_id) if uberon.distance(tissue_id, ancestor) == 1),
        ]
        names = (name for term in map(uberon.term, structure_ids) for name in (term.name, *term.synonyms))
        return frozenset(word for name in names for word in normalize_words(name)) - FILLER_WORDS


@cache
def _synonyms_by_organ() -> dict[str, dict[tuple[str, ...], str]]:
    return {
        organ: {normalize_words(name): term_id for name, term_id in synonyms.items()}
        for organ, synonyms in TISSUE_SYNONYMS.items()
    }


def _lower_score(candidate: _ScoredTerm) -> _ScoredTerm:
    """Lower a score below `MIN_MATCH_SCORE` without changing the order of the lowered matches."""
    if candidate.score < DOUBTFUL_SCORE:
        return candidate
    excess = (candidate.score - DOUBTFUL_SCORE) / (1 - DOUBTFUL_SCORE)
    return replace(
        candidate, score=DOUBTFUL_SCORE + 0.9 * excess * (MIN_MATCH_SCORE - DOUBTFUL_SCORE), is_doubtful=True
    )


def _main_words(label: str, label_qualifier: str, reading: LabelReading) -> list[str]:
    """Return the words of a reading without its qualifier and without what follows a comma ("T cell, memory")."""
    main_label = remove_remarks(label).removesuffix(label_qualifier).split(",")[0]
    excluded_words = frozenset(normalize_words(label)) - frozenset(normalize_words(main_label))
    return [word for word in reading.text.split() if word in reading.words and word not in excluded_words]


def _is_absence(word: str) -> bool:
    """Whether a word is a marker that is absent or low: "cd16-", "cd14low"."""
    return word.endswith("-") or (word.endswith("low") and any(map(str.isdigit, word)))


def _contradicts(label: frozenset[str], name: frozenset[str]) -> bool:
    if "t" in label and "b" in label and not ("t" in name and "b" in name):
        return True
    signed_words = [word for word in label if word[-1] in "+-"]
    return bool(signed_words) and any(
        opposite_signs(name_word, label_word) for name_word in name - label for label_word in signed_words
    )


@cache
def ontology_matcher(prefix: str) -> OntologyMatcher:
    """Return the `OntologyMatcher` of an ontology, cached for the process."""
    return OntologyMatcher(ontology(prefix))


def match_label(
    label: str, prefix: str, *, tissue_id: str = "", embedder: TextEmbedder | None = None, top: int = 5
) -> tuple[TermMatch, ...]:
    """Return the candidate terms of ``label`` in the ontology ``prefix``, best first (see `OntologyMatcher.match`).

    >>> match_label("CD8 Tem", "CL")[0].term.name
    'effector memory CD8-positive, alpha-beta T cell'

    Raises
    ------
    InputError
        If there is no such ontology.
    """
    return ontology_matcher(prefix).match(label, tissue_id=tissue_id, embedder=embedder, top=top)
