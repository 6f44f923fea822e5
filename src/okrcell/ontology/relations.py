"""Related ontology terms and search queries of a term."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.ontology.ontology import Ontology, ontology, prefix_of

MAX_SYNONYMS = 3
"""Maximum number of synonyms in a query."""


def ancestors_or_self(term_id: str) -> frozenset[str]:
    """Return a Cell Ontology term and all its ancestors; empty for "" and for an unknown id."""
    cell_ontology = ontology("CL")
    current_id = cell_ontology.current_id(term_id) if term_id else None
    return cell_ontology.ancestors(current_id) | {current_id} if current_id else frozenset()


def is_descendant(term_ids: Sequence[str], ancestor_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which types are equal to or descendants of which types ``ancestor_ids``.

    Parameters
    ----------
    term_ids
        Cell Ontology ids, "" for a label without a type: it is a descendant of nothing.
    ancestor_ids
        Cell Ontology ids; "" has no descendants.

    Returns
    -------
    Bool (some, above).
    """
    lineages = [ancestors_or_self(term_id) for term_id in term_ids]
    mask = [[term_id in lineage for term_id in ancestor_ids] for lineage in lineages]
    return np.array(mask, dtype=bool).reshape(len(term_ids), len(ancestor_ids))


def related(term_ids: Sequence[str], other_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which types are equal or ancestor and descendant: bool (some, others)."""
    return is_descendant(term_ids, other_ids) | is_descendant(other_ids, term_ids).T


def related_types(names: Sequence[str]) -> NDArray[np.bool_]:
    """Pairs of cell types of which one equals the other or is its ancestor in the Cell Ontology.

    A "CD8 T cell" is a "T cell": a text about one does not contradict a cell of the other. Siblings are not related in this
    sense, nor are names that are not Cell Ontology ids.

    Returns
    -------
    Bool of shape (type, type), symmetric, True on the diagonal.
    """
    cl = ontology("CL")
    index_of = {name: index for index, name in enumerate(names)}
    related = np.eye(len(names), dtype=bool)
    for name, index in index_of.items():
        current = cl.current_id(name) if name.startswith("CL:") else None
        if current is not None:
            ancestors = [index_of[ancestor] for ancestor in cl.ancestors(current) if ancestor in index_of]
            related[index, ancestors] = related[ancestors, index] = True
    return related


def neighborhood(term_id: str, up: int = 1, down: int = 1) -> frozenset[str]:
    """Return a term, its ancestors within ``up`` steps and its descendants within ``down`` steps.

    Raises
    ------
    InputError
        If no ontology has the term.
    """
    term_ontology = _ontology_of(term_id)
    start_id = term_ontology.term(term_id).id
    children = _children_by_parent(term_ontology.prefix) if down else {}
    return _within_steps(start_id, up, term_ontology.parents) | _within_steps(
        start_id, down, lambda term: children.get(term, ())
    )


def search_queries(term_id: str) -> tuple[str, ...]:
    """Return search queries for a term: its name; the name with its parents; both with synonyms.

    "Tc2 cell", "Tc2 cell, a kind of CD8-positive, alpha-beta T cell", and so on. A definition rarely repeats the name of
    its term, but nearly always names the parent.

    Raises
    ------
    InputError
        If no ontology has the term.
    """
    term_ontology = _ontology_of(term_id)
    term = term_ontology.term(term_id)
    parents = " and ".join(term_ontology.term(parent).name for parent in term_ontology.parents(term.id))
    name_with_parents = f"{term.name}, a kind of {parents}" if parents else term.name
    return tuple(
        dict.fromkeys((term.name, name_with_parents, "; ".join((name_with_parents, *term.synonyms[:MAX_SYNONYMS]))))
    )


def _ontology_of(term_id: str) -> Ontology:
    prefix = prefix_of(term_id)
    if prefix is None:
        raise InputError(f"'{term_id}' is not an id of a supported ontology; an id looks like CL:0000236.")
    return ontology(prefix)


def _within_steps(start_id: str, steps: int, neighbors_of: Callable[[str], Sequence[str]]) -> frozenset[str]:
    reached = frontier = {start_id}
    for _ in range(steps):
        frontier = {neighbor for term_id in frontier for neighbor in neighbors_of(term_id)} - reached
        reached = reached | frontier
    return frozenset(reached)


@cache
def _children_by_parent(prefix: str) -> dict[str, tuple[str, ...]]:
    term_ontology = ontology(prefix)
    children: dict[str, tuple[str, ...]] = {}
    for term_id in term_ontology.term_ids():
        for parent in term_ontology.parents(term_id):
            children[parent] = (*children.get(parent, ()), term_id)
    return children
