"""Fact check: reject sentences that their cited evidence does not support."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from okrcell.descriptions.description import Sentence
from okrcell.descriptions.lexicon import (
    DIRECTION_PREFIXES,
    Mention,
    Sign,
    find_numbers,
    normalize_words,
    opposites_of,
    stem,
    word_set,
)
from okrcell.descriptions.negation import CLEAR_ANTONYMS, Comparison, Effect, find_antonyms
from okrcell.descriptions.statements import ParsedSentence, is_content_word, parse_sentence, unreadable_reason
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import ontology, prefix_of

CONTRADICTING_SIGNS: dict[Sign, frozenset[Sign]] = {
    "present": frozenset({"absent"}),
    "high": frozenset({"absent", "low"}),
    "low": frozenset({"present", "high"}),
    "absent": frozenset({"present", "high", "low"}),
}
"""Stated presence: the signs of evidence that contradict it, if the evidence has no other."""
MIN_SUBSTRING_CHARS = 6
"""Minimum length of a tissue name that is searched within longer words ("myelin" in "demyelination")."""
_SHORT_STOPWORDS = word_set("the and for its are was has had can not but all any may one two who how out via also")
_GENERIC_STEMS = frozenset(
    stem(word)
    for word in word_set(
        "cell protein gene function activity role level expression response process factor receptor signaling pathway "
        "regulation activation type tissue through which with that this member family"
    )
)
"""Generic stems that unrelated statements can share."""


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


@dataclass(frozen=True)
class FactChecker:
    """Rule-based, offline check of sentences against the evidence that they cite.

    Genes, cell types, tissues, diseases and numbers in a sentence must occur in its evidence or its profile. A broader
    term ("lymphocyte" for a T cell) is accepted, a narrower or related one is not. A sentence must not negate what its
    evidence affirms, nor affirm what it negates.

    Notes
    -----
    The rules use entity names and a vocabulary of a few hundred words, not syntax: a false sentence built from supported
    names in a wrong order passes.
    """

    min_overlap: float = 0.15
    """Minimum fraction of a sentence's content words that must occur in its evidence or profile, in [0, 1]."""

    def reason_to_reject(self, sentence: Sentence, profile: CellProfile) -> str | None:
        """Return why a sentence about a profile is not supported, in one clause; None if it is."""
        return next(self._reasons(sentence, profile), None)

    def _reasons(self, sentence: Sentence, profile: CellProfile) -> Iterator[str]:
        if not sentence.evidence:
            yield "cites no evidence"
            return
        if (reason := unreadable_reason(sentence.text)) is not None:
            yield reason
            return
        parsed = parse_sentence(sentence.text)
        evidence = applicable_evidence(sentence.evidence, profile, parsed.terms)
        if not evidence:
            records = ", ".join(dict.fromkeys(piece.record for piece in sentence.evidence))
            yield f"cites {records}, which describes another cell type than the sentence"
            return
        facts = EvidenceFacts(profile, evidence)
        supported = tuple(term for term in parsed.terms if _is_supported(term, facts))
        yield from _unsupported_names(parsed, facts, supported)
        yield from _unsupported_numbers(parsed, facts, supported)
        yield from _contradicted_signs(parsed, facts)
        yield from _negated_types(parsed, facts)
        yield from _opposite_words(parsed, facts)
        yield from _opposite_meanings(parsed, facts)
        yield from _contradicted_effects(parsed, facts)
        yield from _unsupported_directions(parsed, facts)
        yield from _contradicted_negations(parsed, facts)
        yield from self._unrelated_to_evidence(parsed, facts, supported)

    def _unrelated_to_evidence(
        self, parsed: ParsedSentence, facts: EvidenceFacts, supported: tuple[Mention, ...]
    ) -> Iterator[str]:
        matched = (*supported, *(gene for gene in parsed.genes if _is_supported(gene, facts)))
        matched_stems = {stem(word.norm) for mention in matched for word in parsed.words[mention.start : mention.stop]}
        unmatched_stems = parsed.stems - matched_stems
        shared_words = {word for word in parsed.unique_words & facts.unique_words if _is_shared_content(word)}
        is_label = not matched and parsed.contains_name(
            normalize_words(facts.profile.label)
        )  # the label of the authors, such as "MG"
        is_expression = any(word.startswith("express") for word in parsed.unique_words)  # its name may be unknown here
        # Up to two unmatched words beside a supported name are accepted; two supported names are shared content.
        if (
            len({mention.ids for mention in matched}) < 2
            and len(unmatched_stems) > 2 * bool(matched)
            and not (shared_words or is_label or is_expression or unmatched_stems & facts.stems)
        ):
            yield "shares no content with its evidence"
        if len(parsed.stems) >= 5 and len(parsed.stems & (facts.stems | matched_stems)) < self.min_overlap * len(
            parsed.stems
        ):
            yield "has too few words in common with its evidence"


def _is_shared_content(word: str) -> bool:
    """Whether a shared word counts as shared content: "10x" and "ATI" do, "the" and "cell" do not."""
    return is_content_word(word) or (
        word not in _SHORT_STOPWORDS and (len(word) == 3 or not word.isalpha()) and word.isalnum()
    )


def _is_supported(mention: Mention, facts: EvidenceFacts) -> bool:
    if mention.category == "term" and not mention.ids.isdisjoint(facts.terms):
        return True
    if mention.text in facts.genes:  # a gene's symbol may also be a disease's abbreviation
        return True
    if mention.category != "term" and not facts.genes.isdisjoint(mention.ids):
        return True
    name_words = normalize_words(mention.text)
    allow_substring = (
        len(name_words) == 1
        and len(name_words[0]) >= MIN_SUBSTRING_CHARS
        and all(term.startswith("UBERON:") for term in mention.ids)
    )
    if facts.contains_name(name_words) or (
        mention.category == "term" and allow_substring and facts.contains_substring(name_words[0])
    ):
        return True
    return mention.category == "term" and facts.mentions_system_of(name_words)


def _unsupported_names(parsed: ParsedSentence, facts: EvidenceFacts, supported: tuple[Mention, ...]) -> Iterator[str]:
    for term in parsed.terms:
        if term not in supported:
            yield f"names {term.text}, which its evidence does not mention"
    covered = {index for term in supported for index in range(term.start, term.stop)}
    for gene in parsed.genes:
        if not covered.issuperset(range(gene.start, gene.stop)) and not _is_supported(gene, facts):
            yield f"names {gene.text}, which its evidence does not mention"


def _unsupported_numbers(parsed: ParsedSentence, facts: EvidenceFacts, supported: tuple[Mention, ...]) -> Iterator[str]:
    in_names = {number for name in (*supported, *parsed.genes) for number in find_numbers(name.text)}
    for number in sorted(parsed.numbers - facts.numbers - in_names):
        yield f"states the number {number}, which its evidence does not contain"


def _contradicted_signs(parsed: ParsedSentence, facts: EvidenceFacts) -> Iterator[str]:
    for gene in parsed.genes:
        if _contradicts(parsed.sign(gene), facts.gene_signs(gene.ids)):
            yield f"states the contrary of its evidence on {gene.text}"
    if parsed.genes:
        return  # "CD3 is absent from B cells" denies CD3, not B cells
    for term in parsed.terms:
        sign = parsed.sign(term)
        if sign == "present" and parsed.has_negation:
            continue  # "lacks the markers that T cells have" does not affirm T cells
        if sign == "absent" and _negates_location_only(parsed, term, facts):
            continue
        if _contradicts(sign, facts.term_signs(term.ids)):
            yield f"states the contrary of its evidence on {term.text}"


def _negates_location_only(parsed: ParsedSentence, term: Mention, facts: EvidenceFacts) -> bool:
    """Whether a negated subject is negated for a location only: "No mast cells are in the blood"."""
    locations = (location for location in parsed.terms if location is not term)
    return parsed.words[0].norm == "no" and any("absent" in facts.term_signs(location.ids) for location in locations)


def _negated_types(parsed: ParsedSentence, facts: EvidenceFacts) -> Iterator[str]:
    for term in parsed.terms:
        previous_words = [word.norm for word in parsed.words[max(0, term.start - 2) : term.start]]
        is_negated = "not" in previous_words or previous_words[-1:] in (["non"], ["no"])
        if is_negated and not term.ids.isdisjoint(facts.record_terms) and "absent" not in facts.term_signs(term.ids):
            yield f"denies that it is {term.text}"


def _contradicts(stated: Sign, evidence_signs: frozenset[Sign]) -> bool:
    return bool(evidence_signs) and evidence_signs <= CONTRADICTING_SIGNS[stated]


def _opposite_words(parsed: ParsedSentence, facts: EvidenceFacts) -> Iterator[str]:
    for word in sorted(parsed.unique_words - facts.unique_words):
        opposites = opposites_of(word) & facts.unique_words
        if opposites and stem(word) not in facts.stems:
            yield f"says {word}, but its evidence says {min(opposites)}"


def _opposite_meanings(parsed: ParsedSentence, facts: EvidenceFacts) -> Iterator[str]:
    for pair, side in sorted(find_antonyms(parsed.words, CLEAR_ANTONYMS)):
        if (
            (pair, 1 - side) in facts.antonyms
            and not {(pair, side)} & facts.antonyms
            and (pair, 1 - side) not in parsed.antonyms
        ):
            word = next(word.norm for word in parsed.words if word.norm.startswith(CLEAR_ANTONYMS[pair][side]))
            yield f"says {word}, but its evidence says the opposite"
    for comparison in parsed.comparisons:
        related = [
            evidence_comparison
            for evidence_comparison in facts.comparisons
            if evidence_comparison.quality == comparison.quality
        ]
        if related and all(comparison.contradicts(evidence_comparison) for evidence_comparison in related):
            yield (
                "says more, but its evidence says less"
                if comparison.is_more
                else "says less, but its evidence says more"
            )


def _unsupported_directions(parsed: ParsedSentence, facts: EvidenceFacts) -> Iterator[str]:
    """Yield directions of regulation where the evidence states regulation without a direction."""
    for effect in parsed.effects:
        targets = effect.targets - _GENERIC_STEMS
        has_direction = any(
            not targets.isdisjoint(evidence_effect.context | evidence_effect.targets)
            for evidence_effect in facts.effects
        )
        if (
            effect.verb.startswith(DIRECTION_PREFIXES)
            and not has_direction
            and not targets.isdisjoint(facts.regulated_stems)
        ):
            yield f"says {effect.verb}, but its evidence states no direction"


def _contradicted_effects(parsed: ParsedSentence, facts: EvidenceFacts) -> Iterator[str]:
    for effect in parsed.effects:
        overlaps = [
            (len(_specific_context(effect) & _specific_context(evidence_effect)), evidence_effect)
            for evidence_effect in facts.effects
        ]
        max_overlap = max((overlap for overlap, _ in overlaps), default=0)
        best_matches = [evidence_effect for overlap, evidence_effect in overlaps if overlap == max_overlap > 0]
        if best_matches and all(evidence_effect.increases != effect.increases for evidence_effect in best_matches):
            yield f"says {effect.verb}, but its evidence says {best_matches[0].verb}"


def _specific_context(effect: Effect) -> frozenset[str]:
    return effect.context - _GENERIC_STEMS


def _contradicted_negations(parsed: ParsedSentence, facts: EvidenceFacts) -> Iterator[str]:
    if any(_negates_location_only(parsed, term, facts) for term in parsed.terms):
        return
    negated = parsed.negated_stems & (facts.affirmed_stems | facts.ever_negated_stems)
    if negated and not negated & facts.ever_negated_stems:
        yield f"denies what its evidence affirms ({', '.join(sorted(negated))})"
    affirmed = (parsed.affirmed_stems - parsed.negated_stems) & facts.negated_stems
    if affirmed and not parsed.negated_stems & facts.ever_negated_stems:
        yield f"affirms what its evidence denies ({', '.join(sorted(affirmed))})"
