"""Contributions of genes to the margin between the predicted type and the runner-up of a group."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from okrcell.tasks.explaining.expectations import Expectation

TABLES, CELLS, BOTH = "marker tables", "cells of the corpus", "both"
"""Sources of a gene's weight."""
A_GOOD_PART = 0.25
"""The source is `BOTH` if the smaller part has the same sign and at least this fraction of the larger part."""


@dataclass(frozen=True)
class Speaker:
    """Contribution of one gene to the margin between the predicted type and the runner-up, for one group."""

    gene: int
    """Index in the gene vocabulary."""
    contribution: float
    """Part of the margin in signature score; negative if the gene supports the runner-up."""
    relative: float
    """Mean relative expression of the group's cells; positive if above the background."""
    answer: float
    """Weight of the gene in the contrasted signature of the predicted type, signed."""
    rival: float
    """Weight of the gene in the contrasted signature of the runner-up, signed; 0 without runner-up."""
    source: str
    """`TABLES`, `CELLS` or `BOTH`."""

    @property
    def of_answer(self) -> bool:
        """Whether the weight of the predicted type is at least as large as that of the runner-up."""
        return abs(self.answer) >= abs(self.rival)

    @property
    def present(self) -> bool:
        """Whether the type with the larger weight predicts high expression of the gene rather than low expression."""
        return (self.answer if self.of_answer else self.rival) > 0


def speakers(
    relative: Float[np.ndarray, " gene"], answer: Expectation, rival: Expectation, top: int
) -> tuple[Speaker, ...]:
    """Return the ``top`` genes with the largest absolute contribution, largest first.

    The contribution of a gene is the difference of its two signature weights times its relative expression. A signature
    score is the scalar product of weights and relative expression, so the contributions of all genes sum to the margin in
    signature score. Ours.

    Parameters
    ----------
    relative
        Mean relative expression of the group's cells.
    answer
        Contrasted signature of the predicted type.
    rival
        Contrasted signature of the runner-up.
    top
        Maximum number of genes.
    """
    whole, tables, cells = answer.whole - rival.whole, answer.tables - rival.tables, answer.cells - rival.cells
    words = whole * relative
    order = np.argsort(-np.abs(words), kind="stable")[:top]
    return tuple(
        Speaker(
            int(gene),
            float(words[gene]),
            float(relative[gene]),
            float(answer.whole[gene]),
            float(rival.whole[gene]),
            source_of(float(tables[gene]), float(cells[gene]), float(whole[gene])),
        )
        for gene in order
        if words[gene] != 0
    )


def source_of(tables: float, cells: float, whole: float) -> str:
    """Source of a gene's weight: the larger part with the sign of the whole, or `BOTH` (see `A_GOOD_PART`)."""
    said = np.array([tables, cells]) * np.sign(whole)
    if said.max() <= 0:
        return BOTH
    if said.min() >= A_GOOD_PART * said.max():
        return BOTH
    return TABLES if said[0] > said[1] else CELLS
