"""Facts that a sentence is checked against: its profile and the applicable cited evidence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.ontology import ontology, prefix_of
from okrcell.texts.profile import CellProfile
from okrcell.texts.screening.effects import Effect
from okrcell.texts.screening.mentions import Mention
from okrcell.texts.screening.reading import Reading, read
from okrcell.texts.screening.sides import Comparison
from okrcell.texts.screening.turning_words import Sign


@dataclass(frozen=True)
class Ground:
    """Facts of the profile and of the applicable evidence, parsed together."""

    profile: CellProfile
    evidence: tuple[Evidence, ...]

    @cached_property
    def terms(self) -> frozenset[str]:
        """Ids of all mentioned terms, with their ancestors."""
        return frozenset(above for term in self._named_terms for above in (term, *ancestors(term)))

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Ids of the terms of the profile and of the evidence records, with their ancestors."""
        return frozenset(above for term in self._given_terms for above in (term, *ancestors(term)))

    @cached_property
    def genes(self) -> frozenset[str]:
        """Symbols of all mentioned genes."""
        return frozenset(self._gene_signs)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Stated quantities."""
        return frozenset().union(*(reading.numbers for reading in self.readings))

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of all content words."""
        return frozenset().union(*(reading.stems for reading in self.readings))

    @cached_property
    def plain_words(self) -> frozenset[str]:
        """All words, normalised."""
        return frozenset().union(*(reading.plain_words for reading in self.readings))

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """All statements of increase or decrease."""
        return tuple(effect for reading in self.readings for effect in reading.effects)

    @cached_property
    def regulated(self) -> frozenset[str]:
        """Stems of what is regulated without a stated direction."""
        return frozenset().union(*(reading.regulated for reading in self.readings))

    @cached_property
    def sides(self) -> frozenset[tuple[int, int]]:
        """Affirmed meanings of opposites, as (pair, side)."""
        return frozenset().union(*(reading.sides for reading in self.readings))

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All comparisons with "more" or "less"."""
        return tuple(comparison for reading in self.readings for comparison in reading.comparisons)

    @cached_property
    def denied(self) -> frozenset[str]:
        """Stems that are negated and nowhere affirmed."""
        return frozenset().union(*(reading.denied for reading in self.readings)) - self.affirmed

    @cached_property
    def affirmed(self) -> frozenset[str]:
        """Stems that are affirmed at least once."""
        return frozenset().union(*(reading.affirmed for reading in self.readings))

    @cached_property
    def ever_denied(self) -> frozenset[str]:
        """Stems that are negated at least once."""
        return frozenset().union(*(reading.denied for reading in self.readings))

    def holds(self, name: Iterable[str]) -> bool:
        """Whether any text contains the words of a name close together."""
        wanted = tuple(name)
        return any(reading.holds(wanted) for reading in self.readings)

    def contains(self, part: str) -> bool:
        """Whether a word is part of a longer word outside entity names: "myelin" in "demyelination"."""
        return any(part in word for reading in self.readings for word in reading.loose_words)

    def names_system_of(self, name: Sequence[str]) -> bool:
        """Whether the system of a part, or a part of a system, is mentioned: "peripheral nerve", "... nervous system"."""
        named = {self._words_of(reading, mention) for reading in self.readings for mention in reading.terms}
        return any(_part_and_whole(tuple(name), other) or _part_and_whole(other, tuple(name)) for other in named)

    @staticmethod
    def _words_of(reading: Reading, mention: Mention) -> tuple[str, ...]:
        return tuple(word.norm for word in reading.words[mention.first : mention.last])

    def gene_signs(self, symbols: Iterable[str]) -> frozenset[Sign]:
        """Return what the evidence states on the presence of these genes."""
        return frozenset().union(*(self._gene_signs.get(symbol, frozenset()) for symbol in symbols))

    def term_signs(self, ids: frozenset[str]) -> frozenset[Sign]:
        """Return what the texts state on the presence of these terms or their descendants."""
        signs: set[Sign] = set()
        for reading in self.readings:
            for mention in reading.terms:
                if any(not ids.isdisjoint((term, *ancestors(term))) for term in mention.means):
                    signs.add(reading.sign(mention))
        return frozenset(signs)

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """All texts, parsed: the evidence, the fields of the profile, and the names of the terms."""
        profile = self.profile
        facts = (
            profile.cell_type,
            profile.label,
            profile.tissue,
            profile.development_stage,
            profile.sex,
            profile.assay,
        )
        texts = [*(piece.text for piece in self.evidence), *facts, profile.disease if self._of_this_sample else ""]
        for term in self._given_terms:
            texts += names_of(term)
        return tuple(read(text) for text in dict.fromkeys(filter(None, texts)))

    @cached_property
    def _given_terms(self) -> tuple[str, ...]:
        profile = self.profile
        of_profile = (profile.cell_type_id, profile.tissue_id, profile.disease_id if self._of_this_sample else "")
        of_evidence = (term for piece in self.evidence for term in piece.terms)
        return tuple(dict.fromkeys(filter(None, (*of_profile, *of_evidence))))

    @property
    def _of_this_sample(self) -> bool:
        """Whether any evidence is not a gene record; gene records alone do not support the donor's disease."""
        return any(piece.aspect not in ("gene", "function") for piece in self.evidence)

    @cached_property
    def _named_terms(self) -> frozenset[str]:
        named = {term for reading in self.readings for mention in reading.terms for term in mention.means}
        return frozenset(named.union(self._given_terms))

    @cached_property
    def _gene_signs(self) -> dict[str, frozenset[Sign]]:
        signs: dict[str, set[Sign]] = {}
        stated: dict[str, Sign | None] = {piece.text: _sign_by_aspect(piece) for piece in self.evidence}
        own = frozenset(
            symbol for piece in self.evidence for symbol in piece.genes
        )  # "CD8" in a record of CD8B is CD8B
        for reading in self.readings:
            for mention in reading.genes:
                for symbol in mention.means & own or mention.means:
                    sign = stated.get(reading.text)
                    signs.setdefault(symbol, set()).add(reading.sign(mention) if sign is None else sign)
        for piece in self.evidence:
            for symbol in piece.genes:
                if symbol not in signs or _sign_by_aspect(piece):
                    signs.setdefault(symbol, set()).add(_sign_by_aspect(piece) or "present")
        return {symbol: frozenset(said) for symbol, said in signs.items()}


def fitting(evidence: Sequence[Evidence], profile: CellProfile, named: Sequence[Mention]) -> tuple[Evidence, ...]:
    """Return the evidence that applies to a sentence that mentions these terms.

    Evidence on a cell type applies to its descendants; it applies to another or narrower type only if the sentence
    mentions that type. Literature passages cover many types and always apply.
    """
    return tuple(piece for piece in evidence if _fits(piece, profile, named))


def ancestors(term_id: str) -> frozenset[str]:
    """Return the ancestors of a term; empty for an unknown id."""
    return _ancestors(term_id)


@lru_cache(50_000)
def names_of(term_id: str) -> tuple[str, ...]:
    """Return name and synonyms of a term; empty for an unknown id."""
    prefix = prefix_of(term_id)
    if prefix is None or ontology(prefix).current(term_id) is None:
        return ()
    term = ontology(prefix).term(term_id)
    return (term.name, *term.synonyms)


@lru_cache(50_000)
def _ancestors(term_id: str) -> frozenset[str]:
    prefix = prefix_of(term_id)
    if prefix is None or ontology(prefix).current(term_id) is None:
        return frozenset()
    return ontology(prefix).ancestors(term_id)


def _fits(piece: Evidence, profile: CellProfile, named: Sequence[Mention]) -> bool:
    types = {term for term in piece.terms if term.startswith("CL:")}
    if not types or piece.aspect in ("passage", "metadata") or not profile.cell_type_id:
        return True
    meant = {profile.cell_type_id, *(term for mention in named for term in mention.means)}
    return any(not types.isdisjoint((term, *ancestors(term))) for term in meant)


def _part_and_whole(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether ``whole`` is a system named after ``part``, word by word."""
    if len(part) < 2 or len(part) + 1 != len(whole) or whole[-1] != "system":
        return False
    return all(len(one) > 3 and one[:4] == other[:4] for one, other in zip(part, whole, strict=False))


def _sign_by_aspect(piece: Evidence) -> Sign | None:
    if piece.aspect == "absent_marker":
        return "absent"
    return "present" if piece.aspect == "marker" else None
