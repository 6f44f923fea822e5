"""A cell that nobody measured: the marker genes of one type, raised in a real cell of another."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from okrcell.cells.vocabulary import SCALED_TOTAL
from okrcell.pairs.tampering import Cell, joined, molecule

HEARD = (0.02, 0.5)
"""Chance that a marker of one witness is heard; a number for each cell, drawn between these, every order of magnitude equally
often. Tables name some 150 markers of the types best known; their real cells show 5 to 30 of these."""
RAISED = (0.7, 0.5)
"""Mean and standard deviation of the natural log of a raised marker over the mean of the cells that express it: in the
cells that a gene marks it is higher than in the others that have it."""
SURE = 1.0
"""Markers of the cell's own type that at least one witness of a short list names are taken away."""


class Markers(NamedTuple):
    """What is known of the genes of one cell type."""

    gene: NDArray[np.int32]
    """Rows of the gene table, ascending."""
    strength: NDArray[np.float32]
    """Above 0 for markers, below 0 for genes that the type lacks; 1 is the word of one witness, 2 of four."""

    def heard(self, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Draw some markers, and some genes that the type lacks; the better attested with a higher chance."""
        of_one = np.exp(rng.uniform(*np.log(HEARD)))
        chance = 1 - (1 - of_one) ** np.abs(self.strength)
        heard = rng.random(len(self.gene)) < chance
        return self.gene[heard & (self.strength > 0)], self.gene[heard & (self.strength < 0)]


NOTHING = Markers(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))
"""Of a type that is not known, or in no table."""


def pattern(
    background: Cell, its_own: Markers, markers: Markers, scale: NDArray[np.float32], rng: np.random.Generator
) -> Cell:
    """Simulate a cell of the type that ``markers`` tell of (ours; method 11.1).

    A real cell gives everything but its type: how deep it was read, what was measured, what all cells do. The markers of
    its own type are taken away, but for those that the two types share; of the other type's markers some are raised to
    what they are in cells that have them, drawn as molecules, so that a shallow cell shows few of them; genes that this type
    lacks are taken away with a chance of the same kind. In a mean profile instead of a cell the pattern would look like no
    cell that is measured, and what is learned of it would not hold for those that are.

    Parameters
    ----------
    background
        A cell that is learned from.
    its_own
        What is known of the genes of its type.
    scale
        For each gene of the table its mean over the cells that express it, at 10,000 counts a cell
        (`Corpus.gene_scale`); a gene of scale 0 is never raised.
    """
    raised, lacked = markers.heard(rng)
    shared = np.isin(its_own.gene, markers.gene[markers.strength > 0])
    away = np.concatenate([its_own.gene[(its_own.strength >= SURE) & ~shared], lacked])
    stays = ~np.isin(background.gene, away)
    total = float(background.value.sum(dtype=np.float64))
    unit = molecule(background.value)
    rate = scale[raised] * np.exp(rng.normal(*RAISED, len(raised))) * (total / SCALED_TOTAL)
    drawn = rng.poisson(np.minimum(rate / unit, 1e9))
    there = drawn > 0
    new = Cell(raised[there], (drawn[there] * unit).astype(np.float32))
    return joined(Cell(background.gene[stays], background.value[stays]), new)
