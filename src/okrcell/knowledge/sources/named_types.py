"""Cell types that a text names."""

from functools import cache

from okrcell.knowledge.naming import normal_name
from okrcell.knowledge.ontology import ontology

_SHORTEST = 5
"""Letters of the shortest name that is looked for: shorter ones ("B 1", "TEC") mean too many things."""


def named_types(text: str) -> tuple[str, ...]:
    """List the ids of the cell types whose name or synonym stands in a text, in the order of their first mention.

    The longest name counts: "memory B cell" tells of memory B cells, not of B cells.
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
    # "cell" itself, which every text of biology names, tells nothing.
    known = {name: term for name, term in known.items() if len(name) >= _SHORTEST and term != "CL:0000000"}
    longest: dict[str, int] = {}
    for name in known:
        first, *rest = name.split()
        longest[first] = max(longest.get(first, 0), 1 + len(rest))
    return known, longest
