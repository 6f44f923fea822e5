"""Which genes speak for one name of a group of cells and which for another, and where the model has that from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from okrcell.tasks.explaining.expectations import Expectation

TABLES, CELLS, BOTH = "marker tables", "cells of the corpus", "both"
"""Where the model learned what a gene says."""
A_GOOD_PART = 0.25
"""Both are named where the lesser says the same and at least so much of it as the greater."""


@dataclass(frozen=True)
class Speaker:
    """One gene's word on one group; the answer is what the cells were named, the rival what came next."""

    gene: int
    """Place in the vocabulary."""
    contribution: float
    """What it adds to the answer's lead over the rival, in units of evidence; below zero it speaks for the rival."""
    relative: float
    """Mean relative expression of the group's cells: above zero it is higher here than usual."""
    answer: float
    """What the answer expects of it beside the other candidates, signed."""
    rival: float
    """What the rival expects of it, signed; 0 without a rival."""
    source: str
    """`TABLES`, `CELLS` or `BOTH`."""

    @property
    def of_answer(self) -> bool:
        """Whether it is heard on account of the answer, rather than of the rival."""
        return abs(self.answer) >= abs(self.rival)

    @property
    def present(self) -> bool:
        """Whether that name expects it to be there; else it expects it to be absent."""
        return (self.answer if self.of_answer else self.rival) > 0


def speakers(
    relative: Float[np.ndarray, " gene"], answer: Expectation, rival: Expectation, top: int
) -> tuple[Speaker, ...]:
    """List the ``top`` genes with the strongest word, for or against, the strongest first.

    A gene's word is the difference of what the two names expect of it, times its relative expression: evidence is their scalar
    product, so the words of all genes sum to the answer's lead in evidence. Ours.

    Parameters
    ----------
    relative
        Mean relative expression of the group's cells.
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
    """Say which part of a signature a gene's word comes from: the one that agrees with it in sign and is larger, or both."""
    said = np.array([tables, cells]) * np.sign(whole)
    if said.max() <= 0:
        return BOTH
    if said.min() >= A_GOOD_PART * said.max():
        return BOTH
    return TABLES if said[0] > said[1] else CELLS
