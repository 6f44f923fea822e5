"""Majority vote of the cells of each group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.knowledge.ontology import ontology
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import CELL_ONTOLOGY, Candidate
from okrcell.tasks.confidence import answer, probabilities
from okrcell.tasks.zero_shot import CELLS_AT_ONCE, name_by_similarity

MOST_TYPES = 5
"""Maximum number of likely types reported per group."""


@dataclass(frozen=True)
class LikelyType:
    """Candidate type with its vote, probability and similarity in a group."""

    name: str
    term_id: str
    """Cell Ontology id, "" if the name is not a term of the ontology."""
    share: float
    """Fraction of the group's cells with this type as nearest candidate, in [0, 1]."""
    probability: float
    """Mean probability of this type over the group's cells, in [0, 1]."""
    match: float
    """Mean cosine similarity, in [-1, 1]."""


@dataclass(frozen=True)
class Vote:
    """Majority vote of the cells of one group."""

    measured: int
    """Number of cells with expression, which vote."""
    status: str
    """confident: most cells are nearest to one candidate. broad: most cells are nearest to descendants of one broader type.
    unknown: neither."""
    name: str
    """The candidate or the broader type; "unknown" if there is none."""
    term_id: str
    share: float
    """Fraction of cells nearest to the type or its descendants, in [0, 1]; that of the most frequent candidate if unknown."""
    types: tuple[LikelyType, ...]
    """Candidates with most votes, most frequent first."""


def group_votes(
    cells: Float[np.ndarray, "cell dim"],
    group: NDArray[np.intp],
    groups: int,
    some: Sequence[Candidate],
    embedder: Embedder,
    genes: int,
) -> tuple[Vote, ...]:
    """Count the nearest candidates of each group's cells, and choose a type by `okrcell.tasks.confidence.predict`.

    A fraction of votes is not a probability: all cells of a group may be wrong in the same way. `LikelyType.probability` is
    the mean of the cells' own probabilities.

    Parameters
    ----------
    cells
        Unit vectors of the cells, NaN for a cell without expression.
    group
        Group index of each cell, -1 for none.
    groups
        Number of groups.
    some
        Candidate cell types.
    embedder
        Model that embeds the texts.
    genes
        Number of the model's genes that were measured.
    """
    found = name_by_similarity(cells, some, embedder, genes)
    rows = np.flatnonzero((group >= 0) & ~np.isnan(cells).any(axis=1))
    measured = np.bincount(group[rows], minlength=groups)
    share, probability, matched = (np.zeros((groups, len(some))) for _ in range(3))
    for start in range(0, len(rows), CELLS_AT_ONCE):
        mine = rows[start : start + CELLS_AT_ONCE]
        np.add.at(share, (group[mine], found.answer.best[mine]), 1)
        np.add.at(probability, group[mine], probabilities(found.scores[mine], found.temperature))
        np.add.at(matched, group[mine], found.scores[mine])
    tables = [table / np.maximum(measured, 1)[:, None] for table in (share, probability, matched)]
    return tuple(
        _vote(int(measured[place]), some, *(table[place] for table in tables)) for place in range(groups)
    )  # fmt: skip


def _vote(
    measured: int,
    some: Sequence[Candidate],
    share: Float[np.ndarray, "candidate"],
    probability: Float[np.ndarray, "candidate"],
    matched: Float[np.ndarray, "candidate"],
) -> Vote:
    if not measured:
        return Vote(0, "unknown", "unknown", "", 0.0, ())
    # Ties are broken by the mean probability.
    order = [int(place) for place in np.lexsort((-probability, -share))[:MOST_TYPES] if share[place] > 0]
    types = tuple(
        LikelyType(
            some[place].name,
            some[place].term_id,
            float(share[place]),
            float(probability[place]),
            float(matched[place]),
        )
        for place in order
    )
    given = answer(share[None], some)
    status = str(given.status[0])
    if status == "confident":
        best = some[int(given.best[0])]
        return Vote(measured, status, best.name, best.term_id, float(given.confidence[0]), types)
    if status == "broad":
        term = ontology(CELL_ONTOLOGY).term(str(given.broader[0]))
        return Vote(measured, status, term.name, term.id, share_within(share, some, term.id), types)
    return Vote(measured, status, "unknown", "", types[0].share, types)


def share_within(share: Float[np.ndarray, "candidate"], some: Sequence[Candidate], term_id: str) -> float:
    """Return the fraction of votes for a term and its descendants."""
    above = ontology(CELL_ONTOLOGY).ancestors
    kinds = [bool(each.term_id) and term_id in above(each.term_id) | {each.term_id} for each in some]
    return float(share[np.array(kinds)].sum())
