"""Known types outside the candidates that match the cells of a group better."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.tasks.candidates import Candidate
from okrcell.tasks.zero_shot import CELL_CHUNK_SIZE

COMPETITOR_RATIO = 2.0
"""A cell rejects the candidates if a known type has at least this multiple of the best candidate's similarity (ours)."""


@dataclass(frozen=True)
class CompetingType:
    """Known type with the highest mean similarity to the cells of a group."""

    name: str
    term_id: str
    similarity: float
    """Mean cosine similarity, in [-1, 1]."""
    fraction_doubted: float
    """Fraction of the group's cells that match some known type twice as well as the best candidate, in [0, 1]."""

    @property
    def dominates(self) -> bool:
        """Whether most cells reject the candidates."""
        return self.fraction_doubted > 0.5


def competing_types(
    cell_vectors: Float[np.ndarray, "cell dim"],
    group: NDArray[np.intp],
    n_groups: int,
    candidates: Sequence[Candidate],
    vectors: Float[np.ndarray, "candidate dim"],
    known_types: Sequence[Candidate],
    known_vectors: Float[np.ndarray, "type dim"],
) -> tuple[CompetingType | None, ...]:
    """Compare each cell's best candidate with the best of all known types; None for a group without expression.

    The nearest candidate may still be wrong (liver types offered for blood); it then has a lower similarity than the best
    known type. Cells whose best candidate is free text without an ontology term never reject the candidates, because
    sentences have a lower similarity to cells than names.

    Parameters
    ----------
    cell_vectors
        Unit vectors of the cells, NaN for a cell without expression.
    group
        Group index of each cell, -1 for none.
    n_groups
        Number of groups.
    candidates
        Candidate cell types.
    vectors
        Unit vectors of the candidates.
    known_types
        Known types to compare with.
    known_vectors
        Unit vectors of the known types.
    """
    rows = np.flatnonzero((group >= 0) & ~np.isnan(cell_vectors).any(axis=1))
    has_term = np.array([bool(candidate.term_id) for candidate in candidates])
    n_measured = np.bincount(group[rows], minlength=n_groups)
    total = np.zeros((n_groups, len(known_types)))
    n_doubted = np.zeros(n_groups)
    for start in range(0, len(rows), CELL_CHUNK_SIZE):
        chunk = rows[start : start + CELL_CHUNK_SIZE]
        known_scores = cell_vectors[chunk] @ known_vectors.T
        scores = cell_vectors[chunk] @ vectors.T
        np.add.at(total, group[chunk], known_scores)
        best_score = known_scores.max(axis=1)
        is_doubted = (
            (best_score > 0) & (COMPETITOR_RATIO * scores.max(axis=1) < best_score) & has_term[scores.argmax(axis=1)]
        )
        np.add.at(n_doubted, group[chunk], is_doubted)
    competitors: list[CompetingType | None] = []
    for idx, n_cells in enumerate(n_measured.tolist()):
        if not n_cells:
            competitors.append(None)
            continue
        best_idx = int(total[idx].argmax())
        candidate = known_types[best_idx]
        competitors.append(
            CompetingType(
                candidate.name,
                candidate.term_id,
                float(total[idx, best_idx] / n_cells),
                float(n_doubted[idx] / n_cells),
            )
        )
    return tuple(competitors)
