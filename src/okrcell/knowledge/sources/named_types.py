"""Cell types named in a text."""

from functools import cache

from okrcell.knowledge.naming import normalize_name
from okrcell.ontology.ontology import ontology

_MIN_NAME_LENGTH = 5
"""Minimum number of characters of a name; shorter ones ("B 1", "TEC") are ambiguous."""


def find_cell_types(text: str) -> tuple[str, ...]:
    """Return the ids of the cell types whose name or synonym occurs in a text, in order of first mention.

    The longest name is matched: "memory B cell" is a memory B cell, not also a B cell.
    """
    names, max_words = _cell_type_names()
    words = normalize_name(text).split()
    term_ids: dict[str, None] = {}
    start = 0
    while start < len(words):
        step = 1
        for length in range(min(max_words.get(words[start], 0), len(words) - start), 0, -1):
            term = names.get(" ".join(words[start : start + length]))
            if term is not None:
                term_ids[term] = None
                step = length
                break
        start += step
    return tuple(term_ids)


@cache
def _cell_type_names() -> tuple[dict[str, str], dict[str, int]]:
    cell_ontology = ontology("CL")
    terms = [
        cell_ontology.term(term)
        for term in cell_ontology.term_ids()
        if not cell_ontology.term(term).name.endswith("(Mmus)")
    ]
    ids_by_name = {normalize_name(term.name): term.id for term in terms}
    synonyms: dict[str, set[str]] = {}
    for term in terms:
        for name in map(normalize_name, term.synonyms):
            synonyms.setdefault(name, set()).add(term.id)
    ids_by_name = {name: min(ids) for name, ids in synonyms.items() if len(ids) == 1} | ids_by_name
    # The root term "cell" is uninformative.
    ids_by_name = {
        name: term for name, term in ids_by_name.items() if len(name) >= _MIN_NAME_LENGTH and term != "CL:0000000"
    }
    max_words: dict[str, int] = {}
    for name in ids_by_name:
        first, *rest = name.split()
        max_words[first] = max(max_words.get(first, 0), 1 + len(rest))
    return ids_by_name, max_words
