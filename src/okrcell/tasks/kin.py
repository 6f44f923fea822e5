"""Descendant relations between candidates, such as "T cell" and "CD4-positive T cell"."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.lineage import kinds, lineage_of
from okrcell.knowledge.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate

ROOT = "CL:0000000"


def within(some: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Return bool (candidate, candidate), True where the second is the first or a descendant of it.

    A CD4-positive T cell is a T cell, so the prediction "T cell" is right for it.
    """
    ids = [each.term_id for each in some]
    return kinds(ids, ids).T | np.eye(len(ids), dtype=bool)


def shared_terms(some: Sequence[Candidate]) -> tuple[list[str], NDArray[np.bool_]]:
    """Return the terms with at least two candidates as descendants, broadest first, and bool (candidate, term)."""
    depth = ontology(CELL_ONTOLOGY).ancestors
    lineage = [lineage_of(each.term_id) for each in some]
    shared = {term for line in lineage for term in line if term != ROOT}
    counted = {term: sum(term in line for line in lineage) for term in shared}
    # A common ancestor of all candidates carries no information about the cell.
    terms = [term for term in shared if 2 <= counted[term] < len(some)]
    terms.sort(key=lambda term: (-counted[term], len(depth(term)), term))
    told = [[term in line for term in terms] for line in lineage]
    return terms, np.array(told, dtype=bool).reshape(len(some), len(terms))
