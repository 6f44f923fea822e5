"""Related ontology terms and search queries of a term."""

from collections.abc import Callable, Sequence
from functools import cache

from okrcell.errors import InputError
from okrcell.knowledge.ontology import Ontology, ontology, prefix_of

SYNONYMS = 3
"""Maximum number of synonyms in a query."""


def neighbourhood(term_id: str, up: int = 1, down: int = 1) -> frozenset[str]:
    """Return a term, its ancestors within ``up`` steps and its descendants within ``down`` steps.

    Raises
    ------
    InputError
        If no ontology has the term.
    """
    home = _home(term_id)
    start = home.term(term_id).id
    children = _children(home.prefix) if down else {}
    return _within(start, up, home.parents) | _within(start, down, lambda term: children.get(term, ()))


def questions(term_id: str) -> tuple[str, ...]:
    """Return search queries for a term: its name; the name with its parents; both with synonyms.

    "Tc2 cell", "Tc2 cell, a kind of CD8-positive, alpha-beta T cell", and so on. A definition rarely repeats the name of
    its term, but nearly always names the parent.

    Raises
    ------
    InputError
        If no ontology has the term.
    """
    home = _home(term_id)
    term = home.term(term_id)
    parents = " and ".join(home.term(parent).name for parent in home.parents(term.id))
    kind = f"{term.name}, a kind of {parents}" if parents else term.name
    return tuple(dict.fromkeys((term.name, kind, "; ".join((kind, *term.synonyms[:SYNONYMS])))))


def _home(term_id: str) -> Ontology:
    prefix = prefix_of(term_id)
    if prefix is None:
        raise InputError(f"'{term_id}' is not an id of a supported ontology; an id looks like CL:0000236.")
    return ontology(prefix)


def _within(start: str, steps: int, onward: Callable[[str], Sequence[str]]) -> frozenset[str]:
    reached = frontier = {start}
    for _ in range(steps):
        frontier = {term for place in frontier for term in onward(place)} - reached
        reached = reached | frontier
    return frozenset(reached)


@cache
def _children(prefix: str) -> dict[str, tuple[str, ...]]:
    home = ontology(prefix)
    children: dict[str, tuple[str, ...]] = {}
    for term in home.terms():
        for parent in home.parents(term):
            children[parent] = (*children.get(parent, ()), term)
    return children
