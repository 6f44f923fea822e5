"""Ask whether cells would rather be something that was not among the candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.tasks.candidates import Candidate
from okrcell.tasks.zero_shot import CELLS_AT_ONCE

MUCH_BETTER = 2.0
"""A type that matches so many times as well as the best candidate makes the candidates doubtful (ours)."""


@dataclass(frozen=True)
class Rival:
    """The type that a group's cells match best, of all that the model knows."""

    name: str
    term_id: str
    match: float
    """Mean cosine similarity, in [-1, 1]."""
    doubting: float
    """Share of the group's cells that some known type matches twice as well as the best candidate does, in [0, 1]."""

    @property
    def wins(self) -> bool:
        """Whether most cells doubt the candidates."""
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

    Something is always nearest: a list of liver cells finds hepatocytes in blood. What it cannot hide is how far away
    they are, beside what the model would have said if it had been asked openly. Cells whose best candidate is free
    text that names no type doubt nothing: sentences lie further from cells than names do.
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
