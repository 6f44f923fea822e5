"""Facts that a sentence is checked against: its profile and the applicable cited evidence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from okrcell.evidence import Evidence
from okrcell.ontology.ontology import ontology, prefix_of
from okrcell.ontology.obs_profile import CellProfile
from okrcell.texts.screening.effects import Effect
from okrcell.texts.screening.mentions import Mention
from okrcell.descriptions.statements import ParsedSentence, parse_sentence
from okrcell.texts.screening.sides import Comparison
from okrcell.descriptions.lexicon import Sign


@dataclass(frozen=True)
class EvidenceFacts:
    """Facts of the profile and of the applicable evidence, parsed together."""

    profile: CellProfile
    evidence: tuple[Evidence, ...]

    @cached_property
    def terms(self) -> frozenset[str]:
        """Ids of all mentioned terms, with their ancestors."""
        return frozenset(ancestor for term in self._mentioned_ids for ancestor in (term, *ancestors(term)))

    @cached_property
    def record_terms(self) -> frozenset[str]:
        """Ids of the terms of the profile and of the evidence records, with their ancestors."""
        return frozenset(ancestor for term in self._record_ids for ancestor in (term, *ancestors(term)))

    @cached_property
    def genes(self) -> frozenset[str]:
        """Symbols of all mentioned genes."""
        return frozenset(self._gene_signs)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Stated quantities."""
        return frozenset().union(*(parsed.numbers for parsed in self.parsed_texts))

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of all content words."""
        return frozenset().union(*(parsed.stems for parsed in self.parsed_texts))

    @cached_property
    def unique_words(self) -> frozenset[str]:
        """All words, normalised."""
        return frozenset().union(*(parsed.unique_words for parsed in self.parsed_texts))

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """All statements of increase or decrease."""
        return tuple(effect for parsed in self.parsed_texts for effect in parsed.effects)

    @cached_property
    def regulated_stems(self) -> frozenset[str]:
        """Stems of what is regulated without a stated direction."""
        return frozenset().union(*(parsed.regulated_stems for parsed in self.parsed_texts))

    @cached_property
    def antonyms(self) -> frozenset[tuple[int, int]]:
        """Affirmed meanings of opposites, as (pair, side)."""
        return frozenset().union(*(parsed.antonyms for parsed in self.parsed_texts))

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All comparisons with "more" or "less"."""
        return tuple(comparison for parsed in self.parsed_texts for comparison in parsed.comparisons)

    @cached_property
    def negated_stems(self) -> frozenset[str]:
        """Stems that are negated and nowhere affirmed."""
        return frozenset().union(*(parsed.negated_stems for parsed in self.parsed_texts)) - self.affirmed_stems

    @cached_property
    def affirmed_stems(self) -> frozenset[str]:
        """Stems that are affirmed at least once."""
        return frozenset().union(*(parsed.affirmed_stems for parsed in self.parsed_texts))

    @cached_property
    def ever_negated_stems(self) -> frozenset[str]:
        """Stems that are negated at least once."""
        return frozenset().union(*(parsed.negated_stems for parsed in self.parsed_texts))

    def contains_name(self, name: Iterable[str]) -> bool:
        """Whether any text contains the words of a name close together."""
        name_words = tuple(name)
        return any(parsed.contains_name(name_words) for parsed in self.parsed_texts)

    def contains_substring(self, part: str) -> bool:
        """Whether a word is part of a longer word outside entity names: "myelin" in "demyelination"."""
        return any(part in word for parsed in self.parsed_texts for word in parsed.words_outside_terms)

    def mentions_system_of(self, name: Sequence[str]) -> bool:
        """Whether the system of a part, or a part of a system, is mentioned: "peripheral nerve", "... nervous system"."""
        mentioned_names = {
            self._mention_words(parsed, mention) for parsed in self.parsed_texts for mention in parsed.terms
        }
        return any(
            _is_system_of(tuple(name), mentioned_name) or _is_system_of(mentioned_name, tuple(name))
            for mentioned_name in mentioned_names
        )

    @staticmethod
    def _mention_words(parsed: ParsedSentence, mention: Mention) -> tuple[str, ...]:
        return tuple(word.norm for word in parsed.words[mention.start : mention.stop])

    def gene_signs(self, symbols: Iterable[str]) -> frozenset[Sign]:
        """Return what the evidence states on the presence of these genes."""
        return frozenset().union(*(self._gene_signs.get(symbol, frozenset()) for symbol in symbols))

    def term_signs(self, ids: frozenset[str]) -> frozenset[Sign]:
        """Return what the texts state on the presence of these terms or their descendants."""
        signs: set[Sign] = set()
        for parsed in self.parsed_texts:
            for mention in parsed.terms:
                if any(not ids.isdisjoint((term, *ancestors(term))) for term in mention.ids):
                    signs.add(parsed.sign(mention))
        return frozenset(signs)

    @cached_property
    def parsed_texts(self) -> tuple[ParsedSentence, ...]:
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
        texts = [*(piece.text for piece in self.evidence), *facts, profile.disease if self._has_sample_evidence else ""]
        for term in self._record_ids:
            texts += term_names(term)
        return tuple(parse_sentence(text) for text in dict.fromkeys(filter(None, texts)))

    @cached_property
    def _record_ids(self) -> tuple[str, ...]:
        profile = self.profile
        profile_ids = (profile.cell_type_id, profile.tissue_id, profile.disease_id if self._has_sample_evidence else "")
        evidence_ids = (term for piece in self.evidence for term in piece.terms)
        return tuple(dict.fromkeys(filter(None, (*profile_ids, *evidence_ids))))

    @property
    def _has_sample_evidence(self) -> bool:
        """Whether any evidence is not a gene record; gene records alone do not support the donor's disease."""
        return any(piece.aspect not in ("gene", "function") for piece in self.evidence)

    @cached_property
    def _mentioned_ids(self) -> frozenset[str]:
        mentioned = {term for parsed in self.parsed_texts for mention in parsed.terms for term in mention.ids}
        return frozenset(mentioned.union(self._record_ids))

    @cached_property
    def _gene_signs(self) -> dict[str, frozenset[Sign]]:
        signs: dict[str, set[Sign]] = {}
        sign_by_text: dict[str, Sign | None] = {piece.text: _sign_by_aspect(piece) for piece in self.evidence}
        evidence_genes = frozenset(
            symbol for piece in self.evidence for symbol in piece.genes
        )  # "CD8" in a record of CD8B is CD8B
        for parsed in self.parsed_texts:
            for mention in parsed.genes:
                for symbol in mention.ids & evidence_genes or mention.ids:
                    sign = sign_by_text.get(parsed.text)
                    signs.setdefault(symbol, set()).add(parsed.sign(mention) if sign is None else sign)
        for piece in self.evidence:
            for symbol in piece.genes:
                if symbol not in signs or _sign_by_aspect(piece):
                    signs.setdefault(symbol, set()).add(_sign_by_aspect(piece) or "present")
        return {symbol: frozenset(gene_signs) for symbol, gene_signs in signs.items()}


def applicable_evidence(
    evidence: Sequence[Evidence], profile: CellProfile, mentions: Sequence[Mention]
) -> tuple[Evidence, ...]:
    """Return the evidence that applies to a sentence that mentions these terms.

    Evidence on a cell type applies to its descendants; it applies to another or narrower type only if the sentence
    mentions that type. Literature passages cover many types and always apply.
    """
    return tuple(piece for piece in evidence if _applies(piece, profile, mentions))


def ancestors(term_id: str) -> frozenset[str]:
    """Return the ancestors of a term; empty for an unknown id."""
    return _cached_ancestors(term_id)


@lru_cache(50_000)
def term_names(term_id: str) -> tuple[str, ...]:
    """Return name and synonyms of a term; empty for an unknown id."""
    prefix = prefix_of(term_id)
    if prefix is None or ontology(prefix).current_id(term_id) is None:
        return ()
    term = ontology(prefix).term(term_id)
    return (term.name, *term.synonyms)


@lru_cache(50_000)
def _cached_ancestors(term_id: str) -> frozenset[str]:
    prefix = prefix_of(term_id)
    if prefix is None or ontology(prefix).current_id(term_id) is None:
        return frozenset()
    return ontology(prefix).ancestors(term_id)


def _applies(piece: Evidence, profile: CellProfile, mentions: Sequence[Mention]) -> bool:
    types = {term for term in piece.terms if term.startswith("CL:")}
    if not types or piece.aspect in ("passage", "metadata") or not profile.cell_type_id:
        return True
    mentioned_ids = {profile.cell_type_id, *(term for mention in mentions for term in mention.ids)}
    return any(not types.isdisjoint((term, *ancestors(term))) for term in mentioned_ids)


def _is_system_of(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether ``whole`` is a system named after ``part``, word by word."""
    if len(part) < 2 or len(part) + 1 != len(whole) or whole[-1] != "system":
        return False
    return all(
        len(part_word) > 3 and part_word[:4] == whole_word[:4]
        for part_word, whole_word in zip(part, whole, strict=False)
    )


def _sign_by_aspect(piece: Evidence) -> Sign | None:
    if piece.aspect == "absent_marker":
        return "absent"
    return "present" if piece.aspect == "marker" else None
