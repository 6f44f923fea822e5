"""Parsed sentence: words, entities, numbers, negations, effects and comparisons, computed once."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from okrcell.descriptions.entities import gene_mentions, term_mentions
from okrcell.descriptions.lexicon import (
    PUNCTUATION,
    Mention,
    Sign,
    WordToken,
    find_numbers,
    stem,
    tokenize_words,
    word_set,
)
from okrcell.descriptions.negation import (
    Comparison,
    Effect,
    find_antonyms,
    find_comparisons,
    find_effects,
    negated_indices,
    regulated_stems,
    sign_of,
)

_WEB_ADDRESS = re.compile(r"(?i)\bhttps?:|\bwww\.|\b[a-z0-9-]+\.(?:com|org|net|io|example)\b(?!\.[a-z])")
_STOPWORDS = word_set(
    """
    about above according affect allow also although amon among another appear associated based because become been being
    belong between both call called cell characterize characterized class common comprise consist contain contribute
    define defined depend derived describe different directly does during each either especially example express
    expressed expression feature find form found from function further gene generally given group have help here high
    however human importance important include including into involve involved itself kind known large less level like
    located main mainly major make many marker mediate member more most mostly much name normally number often only
    originate other part particularly play possess presence present process produce protein provide rather region
    regulate related represent require responsible result role same several show similar some specific specifically
    such system term than that their them then there these they thi this those three through throughout tissue together
    type typical typically under unique upon used using usually variety variou well were when where which while whose
    will with within without work
    """
)
"""Stop words: words that carry little content."""
MAX_GAP_WORDS = 3
"""Maximum number of words between those of a name: "epithelial cell of the kidney"."""


def unreadable_reason(text: str) -> str | None:
    """Return why a text cannot be checked, in one clause; None if it is in Latin script without a web address."""
    if _WEB_ADDRESS.search(text):
        return "contains a web address"
    letters = [letter for letter in text if letter.isalpha()]
    n_latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return "is not written in Latin letters" if 2 * n_latin < len(letters) else None


@dataclass(frozen=True)
class ParsedSentence:
    """A parsed text; each property is computed on first access."""

    text: str

    @cached_property
    def words(self) -> tuple[WordToken, ...]:
        """Words in order."""
        return tokenize_words(self.text)

    @cached_property
    def terms(self) -> tuple[Mention, ...]:
        """Mentions of cell types, tissues and diseases."""
        return tuple(
            mention
            for mention in self._term_mentions
            if mention.category == "term" and not self._is_within_gene(mention)
        )

    @cached_property
    def genes(self) -> tuple[Mention, ...]:
        """Mentions of genes and proteins, and codes that are no known gene."""
        proteins = [mention for mention in self._term_mentions if mention.category == "gene"]
        protein_indices = {index for mention in proteins for index in range(mention.start, mention.stop)}
        terms = {(term.start, term.stop) for term in self.terms}
        symbols = (
            mention
            for mention in self._gene_mentions
            if (mention.start, mention.stop) not in terms
            and (mention.category == "gene" or not protein_indices.issuperset(range(mention.start, mention.stop)))
        )
        return (*proteins, *symbols)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Stated quantities."""
        return find_numbers(self.text)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of the content words."""
        return frozenset(stem(word.norm) for word in self.words if is_content_word(word.norm))

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """Statements of increase or decrease."""
        return tuple(find_effects(self.words))

    @cached_property
    def regulated_stems(self) -> frozenset[str]:
        """Stems of what is regulated without a stated direction."""
        return regulated_stems(self.words)

    @cached_property
    def antonyms(self) -> frozenset[tuple[int, int]]:
        """Affirmed meanings of opposites, as (pair, side)."""
        return find_antonyms(self.words)

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons with "more" or "less"."""
        return tuple(find_comparisons(self.words))

    @cached_property
    def words_outside_terms(self) -> frozenset[str]:
        """Words outside term mentions."""
        term_indices = {index for mention in self.terms for index in range(mention.start, mention.stop)}
        return frozenset(word.norm for index, word in enumerate(self.words) if index not in term_indices)

    @cached_property
    def has_negation(self) -> bool:
        """Whether the text contains a negation."""
        return bool(self._negation_scope)

    @cached_property
    def negated_stems(self) -> frozenset[str]:
        """Stems of the negated words."""
        return frozenset(
            stem(self.words[index].norm) for index in self._negated_indices if is_content_word(self.words[index].norm)
        )

    @cached_property
    def affirmed_stems(self) -> frozenset[str]:
        """Stems of the words that are not negated, without entity names (see `sign`)."""
        norms = (
            word.norm
            for index, word in enumerate(self.words)
            if index not in self._negated_indices | self._entity_indices
        )
        return frozenset(stem(norm) for norm in norms if is_content_word(norm))

    @cached_property
    def unique_words(self) -> frozenset[str]:
        """Set of all words, normalised."""
        return frozenset(word.norm for word in self.words)

    def sign(self, mention: Mention) -> Sign:
        """Return the stated presence of a mentioned entity."""
        return sign_of(self.words, mention.start, mention.stop)

    def contains_name(self, name: Iterable[str]) -> bool:
        """Whether the text contains the words of a name close together."""
        name_words = [word for word in name if word not in PUNCTUATION]
        window = len(name_words) + MAX_GAP_WORDS
        if not name_words or not set(name_words) <= self.unique_words:
            return False
        if len(name_words) == 1:
            return True
        sequence = self._words_without_punctuation
        return any(
            word in name_words and set(name_words) <= set(sequence[index : index + window])
            for index, word in enumerate(sequence)
        )

    @cached_property
    def _words_without_punctuation(self) -> tuple[str, ...]:
        return tuple(word.norm for word in self.words if word.norm not in PUNCTUATION)

    @cached_property
    def _negated_indices(self) -> frozenset[int]:
        return self._negation_scope - self._entity_indices

    @cached_property
    def _entity_indices(self) -> frozenset[int]:
        mentions = (*self.terms, *self.genes)
        return frozenset(index for mention in mentions for index in range(mention.start, mention.stop))

    @cached_property
    def _negation_scope(self) -> frozenset[int]:
        return frozenset(negated_indices(self.words))

    @cached_property
    def _gene_mentions(self) -> tuple[Mention, ...]:
        return tuple(gene_mentions(self.text))

    def _is_within_gene(self, term: Mention) -> bool:
        """Whether a term mention is part of a longer gene mention, as HEP is of HEP-NOS."""
        return any(
            gene.start <= term.start and term.stop <= gene.stop and gene.stop - gene.start > term.stop - term.start
            for gene in self._gene_mentions
        )

    @cached_property
    def _term_mentions(self) -> tuple[Mention, ...]:
        return tuple(term_mentions(self.text))


@lru_cache(20_000)
def parse_sentence(text: str) -> ParsedSentence:
    """Parse a text; results are cached."""
    return ParsedSentence(text)


def is_content_word(word: str) -> bool:
    """Whether a word is a content word."""
    return len(word) > 3 and word not in _STOPWORDS
