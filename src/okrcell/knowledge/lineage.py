"""Ancestor relations between Cell Ontology types."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.ontology import ontology


def lineage_of(term_id: str) -> frozenset[str]:
    """Return a Cell Ontology term and all its ancestors; empty for "" and for an unknown id."""
    home = ontology("CL")
    current = home.current(term_id) if term_id else None
    return home.ancestors(current) | {current} if current else frozenset()


def kinds(some: Sequence[str], above: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which types are equal to or descendants of which types ``above``.

    Parameters
    ----------
    some
        Cell Ontology ids, "" for a label without a type: it is a descendant of nothing.
    above
        Cell Ontology ids; "" has no descendants.

    Returns
    -------
    Bool (some, above).
    """
    lines = [lineage_of(term_id) for term_id in some]
    told = [[term_id in line for term_id in above] for line in lines]
    return np.array(told, dtype=bool).reshape(len(some), len(above))


def kin(some: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which types are equal or ancestor and descendant: bool (some, others)."""
    return kinds(some, others) | kinds(others, some).T
