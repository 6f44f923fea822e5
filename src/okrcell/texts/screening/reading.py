"""Parsed sentence: words, entities, numbers, negations, effects and comparisons, computed once."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from okrcell.texts.screening.effects import Effect, effects, regulated
from okrcell.texts.screening.gene_mentions import gene_mentions
from okrcell.texts.screening.mentions import BREAKS, Mention, Word, numbers, stem, words
from okrcell.texts.screening.polarity import denied_words, sign_of
from okrcell.texts.screening.sides import Comparison, comparisons, sides
from okrcell.texts.screening.term_mentions import term_mentions
from okrcell.texts.screening.turning_words import Sign, listed

_SMALL = listed(
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
SPARE = 3
"""Maximum number of words between those of a name: "epithelial cell of the kidney"."""


@dataclass(frozen=True)
class Reading:
    """A parsed text; each property is computed on first access."""

    text: str

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """Words in order."""
        return words(self.text)

    @cached_property
    def terms(self) -> tuple[Mention, ...]:
        """Mentions of cell types, tissues and diseases."""
        return tuple(mention for mention in self._phrases if mention.kind == "term" and not self._in_a_symbol(mention))

    @cached_property
    def genes(self) -> tuple[Mention, ...]:
        """Mentions of genes and proteins, and codes that are no known gene."""
        proteins = [mention for mention in self._phrases if mention.kind == "gene"]
        within = {place for mention in proteins for place in range(mention.first, mention.last)}
        terms = {(term.first, term.last) for term in self.terms}
        symbols = (
            mention
            for mention in self._symbols
            if (mention.first, mention.last) not in terms
            and (mention.kind == "gene" or not within.issuperset(range(mention.first, mention.last)))
        )
        return (*proteins, *symbols)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Stated quantities."""
        return numbers(self.text)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of the content words."""
        return frozenset(stem(word.norm) for word in self.words if tells(word.norm))

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """Statements of increase or decrease."""
        return tuple(effects(self.words))

    @cached_property
    def regulated(self) -> frozenset[str]:
        """Stems of what is regulated without a stated direction."""
        return regulated(self.words)

    @cached_property
    def sides(self) -> frozenset[tuple[int, int]]:
        """Affirmed meanings of opposites, as (pair, side)."""
        return sides(self.words)

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons with "more" or "less"."""
        return tuple(comparisons(self.words))

    @cached_property
    def loose_words(self) -> frozenset[str]:
        """Words outside term mentions."""
        named = {place for mention in self.terms for place in range(mention.first, mention.last)}
        return frozenset(word.norm for place, word in enumerate(self.words) if place not in named)

    @cached_property
    def denies(self) -> bool:
        """Whether the text contains a negation."""
        return bool(self._denied_places)

    @cached_property
    def denied(self) -> frozenset[str]:
        """Stems of the negated words."""
        return frozenset(stem(self.words[place].norm) for place in self._denied if tells(self.words[place].norm))

    @cached_property
    def affirmed(self) -> frozenset[str]:
        """Stems of the words that are not negated, without entity names (see `sign`)."""
        said = (word.norm for place, word in enumerate(self.words) if place not in self._denied | self._named)
        return frozenset(stem(norm) for norm in said if tells(norm))

    @cached_property
    def plain_words(self) -> frozenset[str]:
        """Set of all words, normalised."""
        return frozenset(word.norm for word in self.words)

    def sign(self, mention: Mention) -> Sign:
        """Return the stated presence of a mentioned entity."""
        return sign_of(self.words, mention.first, mention.last)

    def holds(self, name: Iterable[str]) -> bool:
        """Whether the text contains the words of a name close together."""
        wanted = [word for word in name if word not in BREAKS]
        reach = len(wanted) + SPARE
        if not wanted or not set(wanted) <= self.plain_words:
            return False
        if len(wanted) == 1:
            return True
        line = self._line
        return any(
            word in wanted and set(wanted) <= set(line[place : place + reach]) for place, word in enumerate(line)
        )

    @cached_property
    def _line(self) -> tuple[str, ...]:
        return tuple(word.norm for word in self.words if word.norm not in BREAKS)

    @cached_property
    def _denied(self) -> frozenset[int]:
        return self._denied_places - self._named

    @cached_property
    def _named(self) -> frozenset[int]:
        named = (*self.terms, *self.genes)
        return frozenset(place for mention in named for place in range(mention.first, mention.last))

    @cached_property
    def _denied_places(self) -> frozenset[int]:
        return frozenset(denied_words(self.words))

    @cached_property
    def _symbols(self) -> tuple[Mention, ...]:
        return tuple(gene_mentions(self.text))

    def _in_a_symbol(self, term: Mention) -> bool:
        """Whether a term mention is part of a longer gene mention, as HEP is of HEP-NOS."""
        return any(
            gene.first <= term.first and term.last <= gene.last and gene.last - gene.first > term.last - term.first
            for gene in self._symbols
        )

    @cached_property
    def _phrases(self) -> tuple[Mention, ...]:
        return tuple(term_mentions(self.text))


@lru_cache(20_000)
def read(text: str) -> Reading:
    """Parse a text; results are cached."""
    return Reading(text)


def tells(word: str) -> bool:
    """Whether a word is a content word."""
    return len(word) > 3 and word not in _SMALL
