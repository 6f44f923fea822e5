"""Rank the terms of an ontology for an author label."""

import html
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from heapq import nlargest, nsmallest
from typing import Literal

from okrcell.knowledge.matching.labels import (
    alternatives,
    in_capitals,
    of_tumour,
    qualifier,
    running_number,
    tidy,
    without_remark,
)
from okrcell.knowledge.matching.meaning import SILENT, meaning, opposite
from okrcell.knowledge.matching.places import elsewhere, speaks_of
from okrcell.knowledge.matching.word_index import Entry, WordIndex
from okrcell.knowledge.matching.written_out import WrittenOut, written_out
from okrcell.knowledge.ontology import Ontology, Term, ontology
from okrcell.knowledge.vectors import TextEmbedder

How = Literal["id", "name", "synonym", "abbreviation", "part", "dense"]
"""Basis of a match: the id, the name or a synonym of the term; equal words after expansion of abbreviations; part of the
words of the label, so that the term is broader; or cosine similarity of embeddings."""

STEPS: tuple[How, ...] = ("id", "name", "synonym", "abbreviation", "part", "dense")
"""From the most to the least reliable."""

SURE = 0.6
"""Minimum score of a match that is accepted without review."""

BROADER, NARROWER = 0.5, 2.0
"""Exponents of the penalties for words of the label missing in the term, and for words of the term missing in the label."""

DOUBTFUL = 0.55
"""Maximum score of a match by embeddings alone; doubtful matches are compressed between this score and `SURE`."""

BECOMING = frozenset({"precursor", "stem"})
"""Words that turn a cell type into another one, where other words only narrow it."""

TOO_MANY_KINDS = 600
"""Maximum number of descendants of a common ancestor of two types; "cell" and "motile cell" have more."""

OF_THE_TISSUE = 1.06
"""Score factor for the term of an abbreviation whose definition mentions the tissue of the cells."""


@dataclass(frozen=True)
class Match:
    """Candidate term of a label, with score."""

    term: Term
    score: float
    """Score in [0, 1]: 1 for an id, at least `SURE` if it is accepted without review."""
    how: How


@dataclass(frozen=True)
class _Found:
    term_id: str
    score: float
    how: How
    guess: bool = False
    """Whether it is based on letters alone."""
    doubted: bool = False
    """Whether its score was lowered below `SURE`; it is not raised again."""


class Matcher:
    """Matcher of labels to the names and synonyms of one ontology."""

    def __init__(self, home: Ontology) -> None:
        self.home = home
        self._index = WordIndex(home)

    def match(
        self, label: str, *, tissue_id: str = "", embedder: TextEmbedder | None = None, top: int = 5
    ) -> tuple[Match, ...]:
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
        found: dict[str, _Found] = {}
        for one in self._matches(label, tissue_id):
            known = found.get(one.term_id)
            if known is None or one.score > known.score:
                found[one.term_id] = one
        if place := self._words_of_tissue(tissue_id):
            for one in nlargest(8, found.values(), key=lambda one: one.score):
                short = one.how == "abbreviation" and one.score < 0.9 and not one.doubted
                if short and place & frozenset(meaning(self.home.term(one.term_id).definition)):
                    found[one.term_id] = replace(one, score=min(0.9, one.score * OF_THE_TISSUE))
        if in_capitals(label) and any(one.guess and self._is_named_for(one, tissue_id) for one in found.values()):
            # In the liver "HSC" may be a hepatic stellate cell or a haematopoietic stem cell.
            for one in found.values():
                if one.guess and not self._is_named_for(one, tissue_id):
                    found[one.term_id] = _in_doubt(one)
        best = max((one.score for one in found.values()), default=0.0)
        if embedder is not None and best < SURE and tidy(label) and not of_tumour(label):
            for one in self._near(label, embedder, 10):
                # Matches by embeddings are less often correct than even weak matches by words, so they rank below.
                behind = one if best == 0 else replace(one, score=min(one.score, 0.99 * best))
                found.setdefault(one.term_id, behind)
        ranked = nsmallest(top, found.values(), key=lambda one: (-one.score, STEPS.index(one.how), one.term_id))
        return tuple(Match(self.home.term(one.term_id), one.score, one.how) for one in ranked)

    def _matches(self, label: str, tissue_id: str) -> Iterator[_Found]:
        current = self.home.current(label)
        if current is not None:
            yield _Found(current, 1.0, "id")
            return
        words = tidy(label)
        if not words:
            return
        # The qualifier is recognised by the underscores of the raw label.
        label = " ".join(html.unescape(label).split())
        parts = () if of_tumour(label) else self._kinds_left_open(label)
        for found, score in ((self.home.find_as_written(words), 0.99), (self.home.find(words), 0.97)):
            if found is not None and self._index.in_reach(found.id):
                if self.home.has_name(words, found.id):
                    yield _Found(found.id, score, "name")
                    continue
                one = _Found(found.id, score - 0.02, "synonym")
                doubted = parts or self._is_elsewhere(found.id, meaning(label), tissue_id)
                yield _in_doubt(one) if doubted else one
        common = list(self._by_alternatives(parts, tissue_id)) if parts else []
        shared = {one.term_id for one in common}
        for one in self._by_words(label, tissue_id, whole=of_tumour(label)):
            # A label with two alternatives matches neither of them.
            yield _in_doubt(one) if parts and one.term_id not in shared else one
        yield from common

    def _kinds_left_open(self, label: str) -> tuple[str, ...]:
        parts = alternatives(label)
        if parts or label.count("_") != 1:
            return parts
        # "T_NK" names two alternatives; "Epithelial_basal" names a type and its subtype.
        parts = tuple(label.split("_"))
        kinds = [self._kind(part.strip()) for part in parts]
        if None in kinds or kinds[0] == kinds[1]:
            return ()
        one, other = (str(kind) for kind in kinds)
        return () if one in self.home.ancestors(other) or other in self.home.ancestors(one) else parts

    def _kind(self, part: str) -> str | None:
        found = self.home.find(part) or self.home.find(" ".join(self._index.short.get(part.lower(), ())))
        return None if found is None else found.id

    def _by_words(self, label: str, tissue_id: str, *, whole: bool) -> Iterator[_Found]:
        place = self._words_of_tissue(tissue_id)
        aside, capitals = qualifier(label), in_capitals(label)
        written = meaning(label)
        number_only = frozenset(filter(None, (running_number(label),)))
        besides = frozenset(meaning(aside)) - frozenset(meaning(label.removesuffix(aside)))
        for reading in written_out(label if whole else without_remark(label) or label, self._index):
            said = {word: self._index.weights.get(word, 0.0) for word in reading.words}
            # A word of the label that is missing in a name makes the name broader; the cost depends on the word.
            cost = {word: self._cost(word, capitals, besides | place) for word in reading.words}
            heads = self._index.heads(_main_words(label, aside, reading))
            becoming = bool(reading.words & BECOMING - besides)
            for number, weight in self._sharing(said, besides).items():
                entry = self._index.entries[number]
                if becoming and not entry.words & BECOMING:
                    continue  # a progenitor of enterocytes is not an enterocyte
                if weight < 0.3 * entry.weight or _contradicts(reading.words, entry.words):
                    continue
                unsaid = entry.words - reading.words
                # A word of the tissue in the name counts as 0.9 of a word of the label, so a name without it is preferred.
                near = 0.9 * sum(self._index.weights[word] for word in unsaid & place)
                of_label = weight / (weight + sum(cost[word] for word in reading.words - entry.words))
                of_name = (weight + near) / entry.weight
                if whole and of_label < 1:
                    continue
                score = 0.95 * reading.credit * of_label**BROADER * of_name**NARROWER
                score -= 0.01 * (entry.how == "synonym") + 0.002 * len(entry.silent - reading.words)
                if entry.short and not reading.expanded:
                    score *= 0.62
                if score > 0.1:
                    how = (
                        "part" if of_label < 1 or of_name < 0.85 else "abbreviation" if reading.expanded else entry.how
                    )
                    found = _Found(entry.term_id, score, how, bool(entry.words & reading.doubted))
                    counted = number_only & entry.words
                    beside = of_label < 1 and heads and not self._is_kind_of(entry, heads)
                    doubted = score >= SURE and (
                        counted
                        or beside
                        or self._is_a_guess(entry, reading, tissue_id)
                        or self._is_elsewhere(
                            entry.term_id, (*written, *sorted(reading.words - reading.doubted)), tissue_id
                        )
                    )
                    yield _in_doubt(found) if doubted else found

    def _is_kind_of(self, entry: Entry, heads: frozenset[str]) -> bool:
        """Tell whether the name of an entry or of an ancestor contains one of the head words."""
        return bool(heads & entry.words) or bool(heads & self._words_above(entry.term_id))

    def _is_a_guess(self, entry: Entry, reading: WrittenOut, tissue_id: str) -> bool:
        """Tell whether an entry is based on letters alone and its term does not mention the tissue of the cells."""
        if not entry.words & reading.doubted:
            return False
        if not tissue_id or self.home.prefix != "CL":
            return True
        term = self.home.term(entry.term_id)
        told = (*meaning(term.name), *meaning(term.definition), *sorted(self._words_above(term.id)))
        return not speaks_of(told, tissue_id)

    def _is_named_for(self, found: _Found, tissue_id: str) -> bool:
        """Tell whether the name of a guessed term mentions the tissue."""
        return found.score >= 0.3 and speaks_of(meaning(self.home.names_of(found.term_id)[0]), tissue_id)

    def _is_elsewhere(self, term_id: str, written: Sequence[str], tissue_id: str) -> bool:
        """Tell whether the term names an anatomical structure that is not in the label and unrelated to the tissue."""
        if not tissue_id or self.home.prefix != "CL":
            return False
        name = meaning(self.home.names_of(term_id)[0])
        return elsewhere(name, written, tissue_id)

    @lru_cache(8192)  # noqa: B019 - a matcher lives as long as the process
    def _words_above(self, term_id: str) -> frozenset[str]:
        names = (self.home.names_of(above)[0] for above in self.home.ancestors(term_id) if self.home.current(above))
        return frozenset(word for name in names for word in meaning(name)) - SILENT

    def _sharing(self, said: Mapping[str, float], besides: frozenset[str]) -> dict[int, float]:
        shared: dict[int, float] = defaultdict(float)
        for word in sorted(said, key=lambda word: word in besides):
            for number in self._index.with_word(word):
                if word not in besides or number in shared:
                    shared[number] += said[word]
        return shared

    def _cost(self, word: str, capitals: frozenset[str], aside: frozenset[str]) -> float:
        if word.isdigit():
            return 0.4
        gene = word in capitals or any(sign.isdigit() for sign in word) or word.endswith(("high", "low", "+", "-"))
        cost = self._index.weights.get(word, 0.8 if gene else 1.5)
        return 0.25 * cost if word in aside else cost

    def _by_alternatives(self, parts: Sequence[str], tissue_id: str) -> Iterator[_Found]:
        # "Microglia/macrophage" is matched to the nearest common ancestor.
        best = [self.match(part, tissue_id=tissue_id, top=1) for part in parts]
        if all(best):
            common = best[0][0].term.id
            for other in best[1:]:
                shared = self.home.common_parent(common, other[0].term.id)
                if shared is None:
                    return
                common = shared
            steps = max(self.home.distance(common, one[0].term.id) or 0 for one in best)
            if steps <= 3 and self.home.kinds_below.get(common, 0) <= TOO_MANY_KINDS:
                yield _Found(common, min(one[0].score for one in best) * 0.95**steps, "part")

    def _near(self, label: str, embedder: TextEmbedder, top: int) -> Iterator[_Found]:
        from okrcell.knowledge.matching.name_vectors import name_vectors

        texts = [tidy(label), *(reading.text for reading in written_out(label, self._index)[:1])]
        for term_id, cosine in name_vectors(self.home, embedder).nearest(texts, top):
            if self._index.in_reach(term_id):
                yield _Found(term_id, DOUBTFUL * max(0.0, min(1.0, (cosine - 0.3) / 0.7)), "dense")

    @lru_cache(4096)  # noqa: B019 - a matcher lives as long as the process
    def _words_of_tissue(self, tissue_id: str) -> frozenset[str]:
        tissues = ontology("UBERON")
        if tissues.current(tissue_id) is None:
            return frozenset()
        near = [
            tissue_id,
            *(above for above in tissues.ancestors(tissue_id) if tissues.distance(tissue_id, above) == 1),
        ]
        here = (name for term in map(tissues.term, near) for name in (term.name, *term.synonyms))
        return frozenset(word for name in here for word in meaning(name)) - SILENT


def _in_doubt(found: _Found) -> _Found:
    """Lower a score below `SURE` without changing the order of the lowered matches."""
    if found.score < DOUBTFUL:
        return found
    lift = (found.score - DOUBTFUL) / (1 - DOUBTFUL)
    return replace(found, score=DOUBTFUL + 0.9 * lift * (SURE - DOUBTFUL), doubted=True)


def _main_words(label: str, aside: str, reading: WrittenOut) -> list[str]:
    """Return the words of a reading without its qualifier and without what follows a comma ("T cell, memory")."""
    named = without_remark(label).removesuffix(aside).split(",")[0]
    besides = frozenset(meaning(label)) - frozenset(meaning(named))
    return [word for word in reading.text.split() if word in reading.words and word not in besides]


def _contradicts(label: frozenset[str], name: frozenset[str]) -> bool:
    if "t" in label and "b" in label and not ("t" in name and "b" in name):
        return True
    signed = [word for word in label if word[-1] in "+-"]
    return bool(signed) and any(opposite(one, other) for one in name - label for other in signed)


@cache
def matcher(prefix: str) -> Matcher:
    """Return the `Matcher` of an ontology, cached for the process."""
    return Matcher(ontology(prefix))


def match(
    label: str, prefix: str, *, tissue_id: str = "", embedder: TextEmbedder | None = None, top: int = 5
) -> tuple[Match, ...]:
    """Return the candidate terms of ``label`` in the ontology ``prefix``, best first (see `Matcher.match`).

    >>> match("CD8 Tem", "CL")[0].term.name
    'effector memory CD8-positive, alpha-beta T cell'

    Raises
    ------
    InputError
        If there is no such ontology.
    """
    return matcher(prefix).match(label, tissue_id=tissue_id, embedder=embedder, top=top)
