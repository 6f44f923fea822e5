"""Known types outside the candidates that match the cells of a group better."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.tasks.candidates import Candidate
from okrcell.tasks.zero_shot import CELLS_AT_ONCE

MUCH_BETTER = 2.0
"""A cell rejects the candidates if a known type has at least this multiple of the best candidate's similarity (ours)."""


@dataclass(frozen=True)
class Rival:
    """Known type with the highest mean similarity to the cells of a group."""

    name: str
    term_id: str
    match: float
    """Mean cosine similarity, in [-1, 1]."""
    doubting: float
    """Fraction of the group's cells that match some known type twice as well as the best candidate, in [0, 1]."""

    @property
    def wins(self) -> bool:
        """Whether most cells reject the candidates."""
        return self.doubting > 0.5


def group_rivals(
    cells: Float[np.ndarray, "cell dim"],
    group: NDArray[np.intp],
    groups: int,
    candidates: Sequence[Candidate],
    vectors: Float[np.ndarray, "candidate dim"],
    known: Sequence[Candidate],
    known_vectors: Float[np.ndarray, "type dim"],
) -> tuple[Rival | None, ...]:
    """Compare each cell's best candidate with the best of all known types; None for a group without expression.

    The nearest candidate may still be wrong (liver types offered for blood); it then has a lower similarity than the best
    known type. Cells whose best candidate is free text without an ontology term never reject the candidates, because
    sentences have a lower similarity to cells than names.

    Parameters
    ----------
    cells
        Unit vectors of the cells, NaN for a cell without expression.
    group
        Group index of each cell, -1 for none.
    groups
        Number of groups.
    candidates
        Candidate cell types.
    vectors
        Unit vectors of the candidates.
    known
        Known types to compare with.
    known_vectors
        Unit vectors of the known types.
    """
    rows = np.flatnonzero((group >= 0) & ~np.isnan(cells).any(axis=1))
    named = np.array([bool(each.term_id) for each in candidates])
    measured = np.bincount(group[rows], minlength=groups)
    total = np.zeros((groups, len(known)))
    doubting = np.zeros(groups)
    for start in range(0, len(rows), CELLS_AT_ONCE):
        mine = rows[start : start + CELLS_AT_ONCE]
        open_answer = cells[mine] @ known_vectors.T
        scores = cells[mine] @ vectors.T
        np.add.at(total, group[mine], open_answer)
        top = open_answer.max(axis=1)
        doubts = (top > 0) & (MUCH_BETTER * scores.max(axis=1) < top) & named[scores.argmax(axis=1)]
        np.add.at(doubting, group[mine], doubts)
    found: list[Rival | None] = []
    for place, number in enumerate(measured.tolist()):
        if not number:
            found.append(None)
            continue
        best_known = int(total[place].argmax())
        each = known[best_known]
        found.append(
            Rival(each.name, each.term_id, float(total[place, best_known] / number), float(doubting[place] / number))
        )
    return tuple(found)
