"""Relations between cell types in the Cell Ontology, and search queries of a term."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.ontology.ontology import ontology, prefix_of

MAX_SYNONYMS = 3
"""Maximum number of synonyms in a query."""


def ancestors_or_self(term_id: str) -> frozenset[str]:
    """Return a Cell Ontology term and all its ancestors; empty for "" and for an unknown id."""
    cell_ontology = ontology("CL")
    current_id = cell_ontology.current_id(term_id) if term_id else None
    return cell_ontology.ancestors(current_id) | {current_id} if current_id else frozenset()


def is_descendant(term_ids: Sequence[str], ancestor_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which cell types are equal to, or descendants of, which others.

    Parameters
    ----------
    term_ids
        Cell Ontology ids, "" for a label without a type: it is a descendant of nothing.
    ancestor_ids
        Cell Ontology ids; "" has no descendants.

    Returns
    -------
    Bool (term, ancestor).
    """
    lineages = [ancestors_or_self(term_id) for term_id in term_ids]
    mask = [[term_id in lineage for term_id in ancestor_ids] for lineage in lineages]
    return np.array(mask, dtype=bool).reshape(len(term_ids), len(ancestor_ids))


def related(term_ids: Sequence[str], other_ids: Sequence[str] | None = None) -> NDArray[np.bool_]:
    """Tell which cell types are equal, or one an ancestor of the other.

    A "CD8 T cell" is a "T cell": a text about one does not contradict a cell of the other. Siblings are not related.

    Parameters
    ----------
    term_ids
        Cell Ontology ids; any other name is related to nothing else.
    other_ids
        By default ``term_ids``, each of which is then related to itself, even if it is not a Cell Ontology id.

    Returns
    -------
    Bool (term, other).
    """
    if other_ids is None:
        return related(term_ids, term_ids) | np.eye(len(term_ids), dtype=bool)
    return is_descendant(term_ids, other_ids) | is_descendant(other_ids, term_ids).T


def search_queries(term_id: str) -> tuple[str, ...]:
    """Return search queries for a term: its name; the name with its parents; both with synonyms.

    "Tc2 cell", "Tc2 cell, a kind of CD8-positive, alpha-beta T cell", and so on. A definition rarely repeats the name of
    its term, but nearly always names the parent.

    Raises
    ------
    InputError
        If no ontology has the term.
    """
    prefix = prefix_of(term_id)
    if prefix is None:
        raise InputError(f"'{term_id}' is not an id of a supported ontology; an id looks like CL:0000236.")
    term_ontology = ontology(prefix)
    term = term_ontology.term(term_id)
    parents = " and ".join(term_ontology.term(parent).name for parent in term_ontology.parents(term.id))
    name_with_parents = f"{term.name}, a kind of {parents}" if parents else term.name
    return tuple(
        dict.fromkeys((term.name, name_with_parents, "; ".join((name_with_parents, *term.synonyms[:MAX_SYNONYMS]))))
    )
