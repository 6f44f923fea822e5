"""Which candidates are kinds of which: a "T cell" beside a "CD4-positive T cell"."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.lineage import kinds, lineage_of
from okrcell.knowledge.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate

ROOT = "CL:0000000"


def within(some: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Say whose truth makes whose truth: bool (candidate, candidate), True where the second is the first or a kind of it.

    A cell that is a CD4-positive T cell is a T cell: who answers "T cell" is right.
    """
    ids = [each.term_id for each in some]
    return kinds(ids, ids).T | np.eye(len(ids), dtype=bool)


def shared_terms(some: Sequence[Candidate]) -> tuple[list[str], NDArray[np.bool_]]:
    """List the terms that at least two candidates are kinds of, the broadest first, with bool (candidate, term)."""
    depth = ontology(CELL_ONTOLOGY).ancestors
    lineage = [lineage_of(each.term_id) for each in some]
    shared = {term for line in lineage for term in line if term != ROOT}
    counted = {term: sum(term in line for line in lineage) for term in shared}
    # A term that holds every candidate says nothing about the cell.
    terms = [term for term in shared if 2 <= counted[term] < len(some)]
    terms.sort(key=lambda term: (-counted[term], len(depth(term)), term))
    told = [[term in line for term in terms] for line in lineage]
    return terms, np.array(told, dtype=bool).reshape(len(some), len(terms))
