"""Fact check: reject sentences that their cited evidence does not support."""

from collections.abc import Iterator
from dataclasses import dataclass

from okrcell.texts.description import Sentence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.texts.screening.effects import Effect
from okrcell.texts.screening.ground import EvidenceFacts, applicable_evidence
from okrcell.texts.screening.language import unreadable_reason
from okrcell.texts.screening.mentions import Mention, find_numbers, normalize_words, stem
from okrcell.descriptions.statements import ParsedSentence, is_content_word, parse_sentence
from okrcell.texts.screening.sides import CLEAR_ANTONYMS, find_antonyms
from okrcell.descriptions.lexicon import DIRECTION_PREFIXES, Sign, opposites_of, word_set

CONTRADICTING_SIGNS: dict[Sign, frozenset[Sign]] = {
    "present": frozenset({"absent"}),
    "high": frozenset({"absent", "low"}),
    "low": frozenset({"present", "high"}),
    "absent": frozenset({"present", "high", "low"}),
}
"""Stated presence: the signs of evidence that contradict it, if the evidence has no other."""

MIN_SUBSTRING_CHARS = 6
"""Minimum length of a tissue name that is searched within longer words ("myelin" in "demyelination")."""


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


_SHORT_STOPWORDS = word_set("the and for its are was has had can not but all any may one two who how out via also")
_GENERIC_STEMS = frozenset(
    stem(word)
    for word in word_set(
        "cell protein gene function activity role level expression response process factor receptor signaling pathway "
        "regulation activation type tissue through which with that this member family"
    )
)
"""Generic stems that unrelated statements can share."""
