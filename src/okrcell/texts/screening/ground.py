"""What a sentence may stand on: its profile, and the cited evidence that is about the same thing."""

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
    """The profile's facts and the fitting evidence, read together."""

    profile: CellProfile
    evidence: tuple[Evidence, ...]

    @cached_property
    def terms(self) -> frozenset[str]:
        """Ids of all terms it speaks of, with every term above them."""
        return frozenset(above for term in self._named_terms for above in (term, *ancestors(term)))

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Ids of the terms that profile and evidence are records of, with every term above them."""
        return frozenset(above for term in self._given_terms for above in (term, *ancestors(term)))

    @cached_property
    def genes(self) -> frozenset[str]:
        """Symbols of all genes it speaks of."""
        return frozenset(self._gene_signs)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Quantities it states."""
        return frozenset().union(*(reading.numbers for reading in self.readings))

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of all its telling words."""
        return frozenset().union(*(reading.stems for reading in self.readings))

    @cached_property
    def plain_words(self) -> frozenset[str]:
        """All its words."""
        return frozenset().union(*(reading.plain_words for reading in self.readings))

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """All it says is raised or lowered."""
        return tuple(effect for reading in self.readings for effect in reading.effects)

    @cached_property
    def regulated(self) -> frozenset[str]:
        """Stems of what it says is regulated, without telling which way."""
        return frozenset().union(*(reading.regulated for reading in self.readings))

    @cached_property
    def sides(self) -> frozenset[tuple[int, int]]:
        """On which side of opposite things it is."""
        return frozenset().union(*(reading.sides for reading in self.readings))

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All it calls more or less so."""
        return tuple(comparison for reading in self.readings for comparison in reading.comparisons)

    @cached_property
    def denied(self) -> frozenset[str]:
        """Stems it denies and nowhere affirms."""
        return frozenset().union(*(reading.denied for reading in self.readings)) - self.affirmed

    @cached_property
    def affirmed(self) -> frozenset[str]:
        """Stems it affirms somewhere."""
        return frozenset().union(*(reading.affirmed for reading in self.readings))

    @cached_property
    def ever_denied(self) -> frozenset[str]:
        """Stems it denies somewhere."""
        return frozenset().union(*(reading.denied for reading in self.readings))

    def holds(self, name: Iterable[str]) -> bool:
        """Tell whether the words of a name stand together somewhere in it."""
        wanted = tuple(name)
        return any(reading.holds(wanted) for reading in self.readings)

    def contains(self, part: str) -> bool:
        """Tell whether a word is part of one that names nothing: "myelin" of "demyelination", not "dermis" of "epidermis"."""
        return any(part in word for reading in self.readings for word in reading.loose_words)

    def names_system_of(self, name: Sequence[str]) -> bool:
        """Tell whether it names the whole of a part, or a part of the whole: "peripheral nerve", "... nervous system"."""
        named = {self._words_of(reading, mention) for reading in self.readings for mention in reading.terms}
        return any(_part_and_whole(tuple(name), other) or _part_and_whole(other, tuple(name)) for other in named)

    @staticmethod
    def _words_of(reading: Reading, mention: Mention) -> tuple[str, ...]:
        return tuple(word.norm for word in reading.words[mention.first : mention.last])

    def gene_signs(self, symbols: Iterable[str]) -> frozenset[Sign]:
        """Tell what is said of these genes."""
        return frozenset().union(*(self._gene_signs.get(symbol, frozenset()) for symbol in symbols))

    def term_signs(self, ids: frozenset[str]) -> frozenset[Sign]:
        """Tell what is said of these terms or of kinds of them, in the texts alone."""
        signs: set[Sign] = set()
        for reading in self.readings:
            for mention in reading.terms:
                if any(not ids.isdisjoint((term, *ancestors(term))) for term in mention.means):
                    signs.add(reading.sign(mention))
        return frozenset(signs)

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """Every text, read: the evidence, the names of its terms, and the profile."""
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
        """Whether the evidence says more than what a gene is: a gene's record ties it to no donor's disease."""
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
    """Keep the evidence that a sentence naming these terms may use.

    What is said of a cell type holds for its kinds, but of another type, or of a narrower one, it may be told only by
    naming that type. Passages of literature speak of many types and may always be used.
    """
    return tuple(piece for piece in evidence if _fits(piece, profile, named))


def ancestors(term_id: str) -> frozenset[str]:
    """Gather the terms above; none for an id that no ontology knows."""
    return _ancestors(term_id)


@lru_cache(50_000)
def names_of(term_id: str) -> tuple[str, ...]:
    """Give name and synonyms of a term; none for an id that no ontology knows."""
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
    """Tell whether the whole is a system that is called after the part, word by word."""
    if len(part) < 2 or len(part) + 1 != len(whole) or whole[-1] != "system":
        return False
    return all(len(one) > 3 and one[:4] == other[:4] for one, other in zip(part, whole, strict=False))


def _sign_by_aspect(piece: Evidence) -> Sign | None:
    if piece.aspect == "absent_marker":
        return "absent"
    return "present" if piece.aspect == "marker" else None
