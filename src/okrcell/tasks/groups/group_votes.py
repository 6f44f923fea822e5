"""Let the cells of each group vote on what the group is."""

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
"""So many likely types are told of each group."""


@dataclass(frozen=True)
class LikelyType:
    """A candidate, and how the cells of a group stand to it."""

    name: str
    term_id: str
    """Cell Ontology id, "" if the words name no known type."""
    share: float
    """Share of the group's cells to which it is the nearest candidate, in [0, 1]."""
    probability: float
    """Mean over the group's cells of the probability that they are of this type, in [0, 1]."""
    match: float
    """Mean cosine similarity, in [-1, 1]."""


@dataclass(frozen=True)
class Vote:
    """What the cells of one group say it is."""

    measured: int
    """Cells with expression: those that vote."""
    status: str
    """confident: most cells are nearest to one candidate. broad: most are nearest to kinds of one broader type. unknown:
    neither is so."""
    name: str
    """The candidate or the broader type; "unknown" if there is none."""
    term_id: str
    share: float
    """Share of the cells that are nearest to it or to kinds of it, in [0, 1]; of the foremost candidate if unknown."""
    types: tuple[LikelyType, ...]
    """The candidates with most votes, the foremost first."""


def group_votes(
    cells: Float[np.ndarray, "cell dim"],
    group: NDArray[np.intp],
    groups: int,
    some: Sequence[Candidate],
    embedder: Embedder,
    genes: int,
) -> tuple[Vote, ...]:
    """Give each cell's vote to its nearest candidate, and read each group's votes as `okrcell.tasks.confidence.answer` does.

    A share of votes is no probability: cells that are all wrong in the same way are of one mind. `LikelyType.probability` is
    the mean of what each cell by itself is given.

    Parameters
    ----------
    group
        Number of each cell's group, -1 for none.
    genes
        Number of the model's genes that the file measured.
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
    # Of equal votes the likelier comes first.
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
    """Sum the votes for a term and its kinds."""
    above = ontology(CELL_ONTOLOGY).ancestors
    kinds = [bool(each.term_id) and term_id in above(each.term_id) | {each.term_id} for each in some]
    return float(share[np.array(kinds)].sum())
