"""Cell types named in a text."""

from functools import cache

from okrcell.knowledge.naming import normal_name
from okrcell.knowledge.ontology import ontology

_SHORTEST = 5
"""Minimum number of characters of a name; shorter ones ("B 1", "TEC") are ambiguous."""


def named_types(text: str) -> tuple[str, ...]:
    """Return the ids of the cell types whose name or synonym occurs in a text, in order of first mention.

    The longest name is matched: "memory B cell" is a memory B cell, not also a B cell.
    """
    names, longest = _names()
    words = normal_name(text).split()
    found: dict[str, None] = {}
    place = 0
    while place < len(words):
        step = 1
        for length in range(min(longest.get(words[place], 0), len(words) - place), 0, -1):
            term = names.get(" ".join(words[place : place + length]))
            if term is not None:
                found[term] = None
                step = length
                break
        place += step
    return tuple(found)


@cache
def _names() -> tuple[dict[str, str], dict[str, int]]:
    home = ontology("CL")
    terms = [home.term(term) for term in home.terms() if not home.term(term).name.endswith("(Mmus)")]
    known = {normal_name(term.name): term.id for term in terms}
    synonyms: dict[str, set[str]] = {}
    for term in terms:
        for name in map(normal_name, term.synonyms):
            synonyms.setdefault(name, set()).add(term.id)
    known = {name: min(ids) for name, ids in synonyms.items() if len(ids) == 1} | known
    # The root term "cell" is uninformative.
    known = {name: term for name, term in known.items() if len(name) >= _SHORTEST and term != "CL:0000000"}
    longest: dict[str, int] = {}
    for name in known:
        first, *rest = name.split()
        longest[first] = max(longest.get(first, 0), 1 + len(rest))
    return known, longest
