"""Simulate a cell: raise the markers of a target type in a real background cell."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from okrcell.cells.vocabulary import SCALED_TOTAL
from okrcell.pairs.tampering import Cell, joined, molecule

HEARD = (0.02, 0.5)
"""Probability that a marker with support of one source is expressed: sampled per cell, log-uniformly between these bounds.
Tables list about 150 markers of the best-studied types; real cells of these types express 5 to 30 of them."""
RAISED = (0.7, 0.5)
"""Mean and standard deviation of the natural log fold change of a raised marker over its mean in the cells that express it:
a marker is higher in the cells of its type than in other cells that express it."""
SURE = 1.0
"""Minimum strength of the background type's markers that are removed: support of one source with a short list."""


class Markers(NamedTuple):
    """Marker genes of one cell type."""

    gene: NDArray[np.int32]
    """Rows of the gene table, ascending."""
    strength: NDArray[np.float32]
    """Signed square root of support: positive for markers, negative for genes that the type lacks; 1: one source, 2: four."""

    def heard(self, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Sample markers, and genes that the type lacks; the probability increases with the support."""
        of_one = np.exp(rng.uniform(*np.log(HEARD)))
        chance = 1 - (1 - of_one) ** np.abs(self.strength)
        heard = rng.random(len(self.gene)) < chance
        return self.gene[heard & (self.strength > 0)], self.gene[heard & (self.strength < 0)]


NOTHING = Markers(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))
"""Markers of an unknown type, or of a type in no table."""


def pattern(
    background: Cell, its_own: Markers, markers: Markers, scale: NDArray[np.float32], rng: np.random.Generator
) -> Cell:
    """Simulate a cell of the type with the given ``markers`` (ours; method 11.1).

    A real background cell provides the sequencing depth, the measured genes and housekeeping expression. Markers of its own
    type are removed unless the target type shares them. A sample of the target type's markers is raised to the level of cells
    that express them, as Poisson counts, so that a shallow cell shows few of them; a sample of the genes that the target type
    lacks is removed. A mean profile as background would not resemble a measured cell, and what is learned from it would
    not transfer.

    Parameters
    ----------
    background
        A training cell.
    its_own
        Markers of the type of ``background``.
    markers
        Markers of the target type.
    scale
        Mean of each gene of the table over the cells that express it, at 10,000 counts per cell (`Corpus.gene_scale`); a
        gene with scale 0 is never raised.
    rng
        Source of the samples.
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
