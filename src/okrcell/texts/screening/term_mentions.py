"""Find mentions of cell types, tissues, diseases and proteins in a text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from okrcell.knowledge.ontology import ontology
from okrcell.texts.screening.common_names import ACRONYMS, ADJECTIVES, ORDINARY, PROTEINS, SIGNALS
from okrcell.texts.screening.gene_mentions import known_gene
from okrcell.texts.screening.mentions import BREAKS, Mention, Word, norms, words

NAMED = ("CL", "UBERON", "MONDO")
"""Ontologies whose terms are searched."""
Named = tuple[str, Iterable[str]]
"""A name with its term ids or gene symbols."""
LONGEST = 12
"""Maximum number of words of a name."""

_SOMEWHERE = re.compile(
    rf"(?P<cell>(?:(?! of | in ).)+ (?:cell|neuron)) (?:of|in) .*|(?:{'|'.join(ADJECTIVES)}) (?P<named>\S+ (?:cell|neuron))"
)
"""A cell name qualified by a location: "chief cell of parathyroid gland", "pancreatic beta cell". Also used without the
location."""


def term_mentions(text: str) -> Iterator[Mention]:
    """Yield mentions of cell types, tissues, diseases and proteins by name or synonym; the longest match wins.

    Short abbreviations and names that are ordinary words ("surface", "region") are ignored. "B and T cells" gives two
    mentions.
    """
    tokens = words(text)
    names = _names()
    place = 0
    while place < len(tokens):
        for length in range(min(names.longest.get(tokens[place].norm, 0), len(tokens) - place), 0, -1):
            last = place + length
            key = " ".join(token.norm for token in tokens[place:last])
            if key not in names.means:
                continue
            written = text[tokens[place].start : tokens[last - 1].end]
            if key in names.abbreviations and written.strip() not in names.abbreviations[key]:
                continue
            yield _mention(written, place, last, names.means[key])
            yield from _shared_head(text, tokens, place, last)
            place = last - 1
            break
        place += 1


@dataclass(frozen=True)
class _Names:
    means: dict[str, frozenset[str]]
    longest: dict[str, int]
    """Number of words of the longest name that begins with a word."""
    abbreviations: dict[str, frozenset[str]]
    """Names that match only in exactly this spelling."""


@cache
def _names() -> _Names:
    means: dict[str, set[str]] = {}
    abbreviations: dict[str, set[str]] = {}
    for layers in (*map(_layers, NAMED), [_common_names()]):
        known: set[str] = set()
        for layer in layers:
            keys: set[str] = set()
            for name, meant in layer:
                forms = _forms(name)
                if _is_abbreviation(name):
                    abbreviations.update({key: {*abbreviations.get(key, ()), name} for key in forms})
                for key in forms - known:
                    means.setdefault(key, set()).update(meant)
                keys |= forms
            known |= keys
    longest: dict[str, int] = {}
    for key in means:
        first, *rest = key.split(" ")
        longest[first] = max(longest.get(first, 0), 1 + len(rest))
    frozen = {key: frozenset(ids) for key, ids in means.items()}
    return _Names(frozen, longest, {key: frozenset(written) for key, written in abbreviations.items()})


def _layers(prefix: str) -> Iterator[list[Named]]:
    """Yield an ontology's names, then its synonyms, then shortened cell names; earlier layers take precedence."""
    home = ontology(prefix)
    terms = [home.term(term) for term in home.terms()]
    yield [(term.name, (term.id,)) for term in terms]
    human = [term for term in terms if not term.name.endswith("(Mmus)")]
    yield [(synonym, (term.id,)) for term in human for synonym in term.synonyms]
    if prefix == "CL":
        placed = [(_SOMEWHERE.fullmatch(name), term.id) for term in human for name in (term.name, *term.synonyms)]
        short = [(found["cell"] or found["named"], (term,)) for found, term in placed if found]
        neurons = [
            (f"{term.name.removesuffix('neuron')}cell", (term.id,)) for term in human if term.name[-6:] == "neuron"
        ]
        yield [*short, *neurons]


def _common_names() -> list[Named]:
    adjectives = (
        (adjective, ontology("UBERON").find_as_written(name) or ontology("CL").find_as_written(name))
        for adjective, name in ADJECTIVES.items()
    )
    molecules = ((name, names.split()) for name, names in (*PROTEINS.items(), *SIGNALS.items()))
    return [*((adjective, (term.id,)) for adjective, term in adjectives if term is not None), *molecules]


def _forms(name: str) -> set[str]:
    """Return the lookup keys of a name, with and without its commas; empty for a name that is not searched."""
    if name[:2] == "A ":  # "A cell" of the pancreas begins like any sentence about a cell
        return set()
    if _is_abbreviation(name) and (len(name) < 3 or (known_gene(name) and name not in ACRONYMS)):
        return set()
    tokens = norms(name)
    plain = " ".join(token for token in tokens if token not in BREAKS)
    if not 0 < len(tokens) <= LONGEST or len(plain) < 3 or plain in ORDINARY or plain.isdigit():
        return set()
    return {" ".join(tokens), plain}


def _is_abbreviation(name: str) -> bool:
    return " " not in name and (len(name) < 4 or any(letter.isupper() for letter in name[1:]))


def _mention(written: str, first: int, last: int, means: frozenset[str]) -> Mention:
    terms = frozenset(meant for meant in means if ":" in meant)
    return Mention(written, "term" if terms or not means else "gene", first, last, terms or means)


def _shared_head(text: str, tokens: Sequence[Word], first: int, last: int) -> Iterator[Mention]:
    """Yield "B" of "B and T cells": mentions that share the head noun of a mention."""
    if last - first < 2:
        return
    rest = " ".join(token.norm for token in tokens[first + 1 : last])
    place = first
    while place >= 2 and tokens[place - 1].norm in ("and", "or", ","):
        place -= 1
        while place > 0 and tokens[place - 1].norm == ",":
            place -= 1
        place -= 1
        means = _names().means.get(f"{tokens[place].norm} {rest}") if place >= 0 else None
        if means is None:
            return
        yield _mention(text[tokens[place].start : tokens[place].end], place, place + 1, means)
