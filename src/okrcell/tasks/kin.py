"""Descendant relations between candidates, such as "T cell" and "CD4-positive T cell"."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.lineage import ancestors_or_self, is_descendant
from okrcell.ontology.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate

ROOT_TERM = "CL:0000000"


def descendant_matrix(candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Return bool (candidate, candidate), True where the second is the first or a descendant of it.

    A CD4-positive T cell is a T cell, so the prediction "T cell" is right for it.
    """
    ids = [candidate.term_id for candidate in candidates]
    return is_descendant(ids, ids).T | np.eye(len(ids), dtype=bool)


def common_ancestors(candidates: Sequence[Candidate]) -> tuple[list[str], NDArray[np.bool_]]:
    """Return the terms with at least two candidates as descendants, broadest first, and bool (candidate, term)."""
    ancestors = ontology(CELL_ONTOLOGY).ancestors
    lineages = [ancestors_or_self(candidate.term_id) for candidate in candidates]
    shared_ids = {term for ancestor_ids in lineages for term in ancestor_ids if term != ROOT_TERM}
    counts = {term: sum(term in ancestor_ids for ancestor_ids in lineages) for term in shared_ids}
    # A common ancestor of all candidates carries no information about the cell.
    terms = [term for term in shared_ids if 2 <= counts[term] < len(candidates)]
    terms.sort(key=lambda term: (-counts[term], len(ancestors(term)), term))
    membership = [[term in ancestor_ids for term in terms] for ancestor_ids in lineages]
    return terms, np.array(membership, dtype=bool).reshape(len(candidates), len(terms))
