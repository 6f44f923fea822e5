"""Ancestor relations between Cell Ontology types."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.ontology.ontology import ontology


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
