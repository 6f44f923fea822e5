"""Fact check: reject sentences that their cited evidence does not support."""

from collections.abc import Iterator
from dataclasses import dataclass

from okrcell.texts.description import Sentence
from okrcell.texts.profile import CellProfile
from okrcell.texts.screening.effects import Effect
from okrcell.texts.screening.ground import Ground, fitting
from okrcell.texts.screening.language import unreadable
from okrcell.texts.screening.mentions import Mention, norms, numbers, stem
from okrcell.texts.screening.reading import Reading, read, tells
from okrcell.texts.screening.sides import CLEAR, sides
from okrcell.texts.screening.turning_words import STEERS, Sign, listed, opposites_of

CONTRARY: dict[Sign, frozenset[Sign]] = {
    "present": frozenset({"absent"}),
    "high": frozenset({"absent", "low"}),
    "low": frozenset({"present", "high"}),
    "absent": frozenset({"present", "high", "low"}),
}
"""Stated presence: the signs of evidence that contradict it, if the evidence has no other."""

WHOLE = 6
"""Minimum length of a tissue name that is searched within longer words ("myelin" in "demyelination")."""


@dataclass(frozen=True)
class Gate:
    """Rule-based, offline check of sentences against the evidence that they cite.

    Genes, cell types, tissues, diseases and numbers in a sentence must occur in its evidence or its profile. A broader
    term ("lymphocyte" for a T cell) is accepted, a narrower or related one is not. A sentence must not negate what its
    evidence affirms, nor affirm what it negates.

    Notes
    -----
    The rules use entity names and a vocabulary of a few hundred words, not syntax: a false sentence built from supported
    names in a wrong order passes.
    """

    shared: float = 0.15
    """Minimum fraction of a sentence's content words that must occur in its evidence or profile, in [0, 1]."""

    def objection(self, sentence: Sentence, profile: CellProfile) -> str | None:
        """Return why a sentence about a profile is not supported, in one clause; None if it is."""
        return next(self._objections(sentence, profile), None)

    def _objections(self, sentence: Sentence, profile: CellProfile) -> Iterator[str]:
        if not sentence.evidence:
            yield "cites no evidence"
            return
        if (reason := unreadable(sentence.text)) is not None:
            yield reason
            return
        said = read(sentence.text)
        evidence = fitting(sentence.evidence, profile, said.terms)
        if not evidence:
            about = ", ".join(dict.fromkeys(piece.record for piece in sentence.evidence))
            yield f"cites {about}, which describes another cell type than the sentence"
            return
        ground = Ground(profile, evidence)
        supported = tuple(term for term in said.terms if _stands(term, ground))
        yield from _unknown_names(said, ground, supported)
        yield from _unknown_numbers(said, ground, supported)
        yield from _turned_signs(said, ground)
        yield from _denied_kinds(said, ground)
        yield from _turned_words(said, ground)
        yield from _turned_sides(said, ground)
        yield from _turned_effects(said, ground)
        yield from _untold_effects(said, ground)
        yield from _turned_denials(said, ground)
        yield from self._unrelated(said, ground, supported)

    def _unrelated(self, said: Reading, ground: Ground, supported: tuple[Mention, ...]) -> Iterator[str]:
        known = (*supported, *(gene for gene in said.genes if _stands(gene, ground)))
        named = {stem(word.norm) for name in known for word in said.words[name.first : name.last]}
        loose = said.stems - named
        shared = {word for word in said.plain_words & ground.plain_words if _counts(word)}
        label = not known and said.holds(norms(ground.profile.label))  # the label of the authors, such as "MG"
        molecule = any(word.startswith("express") for word in said.plain_words)  # its name may be unknown here
        # Up to two unmatched words beside a supported name are accepted; two supported names are shared content.
        if (
            len({name.means for name in known}) < 2
            and len(loose) > 2 * bool(known)
            and not (shared or label or molecule or loose & ground.stems)
        ):
            yield "shares no content with its evidence"
        if len(said.stems) >= 5 and len(said.stems & (ground.stems | named)) < self.shared * len(said.stems):
            yield "has too few words in common with its evidence"


def _counts(word: str) -> bool:
    """Whether a shared word counts as shared content: "10x" and "ATI" do, "the" and "cell" do not."""
    return tells(word) or (word not in _LITTLE and (len(word) == 3 or not word.isalpha()) and word.isalnum())


def _stands(mention: Mention, ground: Ground) -> bool:
    if mention.kind == "term" and not mention.means.isdisjoint(ground.terms):
        return True
    if mention.text in ground.genes:  # a gene's symbol may also be a disease's abbreviation
        return True
    if mention.kind != "term" and not ground.genes.isdisjoint(mention.means):
        return True
    name = norms(mention.text)
    within = len(name) == 1 and len(name[0]) >= WHOLE and all(term.startswith("UBERON:") for term in mention.means)
    if ground.holds(name) or (mention.kind == "term" and within and ground.contains(name[0])):
        return True
    return mention.kind == "term" and ground.names_system_of(name)


def _unknown_names(said: Reading, ground: Ground, supported: tuple[Mention, ...]) -> Iterator[str]:
    for term in said.terms:
        if term not in supported:
            yield f"names {term.text}, which its evidence does not mention"
    covered = {place for term in supported for place in range(term.first, term.last)}
    for gene in said.genes:
        if not covered.issuperset(range(gene.first, gene.last)) and not _stands(gene, ground):
            yield f"names {gene.text}, which its evidence does not mention"


def _unknown_numbers(said: Reading, ground: Ground, supported: tuple[Mention, ...]) -> Iterator[str]:
    in_names = {number for name in (*supported, *said.genes) for number in numbers(name.text)}
    for number in sorted(said.numbers - ground.numbers - in_names):
        yield f"states the number {number}, which its evidence does not contain"


def _turned_signs(said: Reading, ground: Ground) -> Iterator[str]:
    for gene in said.genes:
        if _contrary(said.sign(gene), ground.gene_signs(gene.means)):
            yield f"states the contrary of its evidence on {gene.text}"
    if said.genes:
        return  # "CD3 is absent from B cells" denies CD3, not B cells
    for term in said.terms:
        sign = said.sign(term)
        if sign == "present" and said.denies:
            continue  # "lacks the markers that T cells have" does not affirm T cells
        if sign == "absent" and _says_where_not(said, term, ground):
            continue
        if _contrary(sign, ground.term_signs(term.means)):
            yield f"states the contrary of its evidence on {term.text}"


def _says_where_not(said: Reading, term: Mention, ground: Ground) -> bool:
    """Whether a negated subject is negated for a location only: "No mast cells are in the blood"."""
    others = (other for other in said.terms if other is not term)
    return said.words[0].norm == "no" and any("absent" in ground.term_signs(other.means) for other in others)


def _denied_kinds(said: Reading, ground: Ground) -> Iterator[str]:
    for term in said.terms:
        before = [word.norm for word in said.words[max(0, term.first - 2) : term.first]]
        denied = "not" in before or before[-1:] in (["non"], ["no"])
        if denied and not term.means.isdisjoint(ground.kinds) and "absent" not in ground.term_signs(term.means):
            yield f"denies that it is {term.text}"


def _contrary(said: Sign, known: frozenset[Sign]) -> bool:
    return bool(known) and known <= CONTRARY[said]


def _turned_words(said: Reading, ground: Ground) -> Iterator[str]:
    for word in sorted(said.plain_words - ground.plain_words):
        turned = opposites_of(word) & ground.plain_words
        if turned and stem(word) not in ground.stems:
            yield f"says {word}, but its evidence says {min(turned)}"


def _turned_sides(said: Reading, ground: Ground) -> Iterator[str]:
    for pair, side in sorted(sides(said.words, CLEAR)):
        if (
            (pair, 1 - side) in ground.sides
            and not {(pair, side)} & ground.sides
            and (pair, 1 - side) not in said.sides
        ):
            word = next(word.norm for word in said.words if word.norm.startswith(CLEAR[pair][side]))
            yield f"says {word}, but its evidence says the opposite"
    for comparison in said.comparisons:
        known = [other for other in ground.comparisons if other.quality == comparison.quality]
        if known and all(comparison.contradicts(other) for other in known):
            yield (
                "says more, but its evidence says less" if comparison.more else "says less, but its evidence says more"
            )


def _untold_effects(said: Reading, ground: Ground) -> Iterator[str]:
    """Yield directions of regulation where the evidence states regulation without a direction."""
    for effect in said.effects:
        upon = effect.upon - _VAGUE
        directed = any(not upon.isdisjoint(other.about | other.upon) for other in ground.effects)
        if effect.verb.startswith(STEERS) and not directed and not upon.isdisjoint(ground.regulated):
            yield f"says {effect.verb}, but its evidence states no direction"


def _turned_effects(said: Reading, ground: Ground) -> Iterator[str]:
    for effect in said.effects:
        shared = [(len(_telling(effect) & _telling(other)), other) for other in ground.effects]
        most = max((number for number, _ in shared), default=0)
        known = [other for number, other in shared if number == most > 0]
        if known and all(other.raises != effect.raises for other in known):
            yield f"says {effect.verb}, but its evidence says {known[0].verb}"


def _telling(effect: Effect) -> frozenset[str]:
    return effect.about - _VAGUE


def _turned_denials(said: Reading, ground: Ground) -> Iterator[str]:
    if any(_says_where_not(said, term, ground) for term in said.terms):
        return
    denied = said.denied & (ground.affirmed | ground.ever_denied)
    if denied and not denied & ground.ever_denied:
        yield f"denies what its evidence affirms ({', '.join(sorted(denied))})"
    affirmed = (said.affirmed - said.denied) & ground.denied
    if affirmed and not said.denied & ground.ever_denied:
        yield f"affirms what its evidence denies ({', '.join(sorted(affirmed))})"


_LITTLE = listed("the and for its are was has had can not but all any may one two who how out via also")
_VAGUE = frozenset(
    stem(word)
    for word in listed(
        "cell protein gene function activity role level expression response process factor receptor signaling pathway "
        "regulation activation type tissue through which with that this member family"
    )
)
"""Generic stems that unrelated statements can share."""
