"""Simulate a cell: raise the markers of a target type in a real background cell."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from okrcell.cells.vocabulary import TARGET_SUM
from okrcell.data.expression_noise import SparseCell, add_cells, count_unit

MARKER_RATE = (0.02, 0.5)
"""Probability that a marker with support of one source is expressed: sampled per cell, log-uniformly between these bounds.
Tables list about 150 markers of the best-studied types; real cells of these types express 5 to 30 of them."""
LOG_FOLD_CHANGE = (0.7, 0.5)
"""Mean and standard deviation of the natural log fold change of a raised marker over its mean in the cells that express it:
a marker is higher in the cells of its type than in other cells that express it."""
MIN_STRENGTH = 1.0
"""Minimum strength of the background type's markers that are removed: support of one source with a short list."""


class TypeMarkers(NamedTuple):
    """Marker genes of one cell type."""

    gene: NDArray[np.int32]
    """Rows of the gene table, ascending."""
    strength: NDArray[np.float32]
    """Signed square root of support: positive for markers, negative for genes that the type lacks; 1: one source, 2: four."""

    def sample_markers(self, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Sample markers, and genes that the type lacks; the probability increases with the support."""
        base_rate = np.exp(rng.uniform(*np.log(MARKER_RATE)))
        probability = 1 - (1 - base_rate) ** np.abs(self.strength)
        is_sampled = rng.random(len(self.gene)) < probability
        return self.gene[is_sampled & (self.strength > 0)], self.gene[is_sampled & (self.strength < 0)]


NO_MARKERS = TypeMarkers(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))
"""Markers of an unknown type, or of a type in no table."""


def simulate_cell(
    background: SparseCell,
    background_markers: TypeMarkers,
    markers: TypeMarkers,
    scale: NDArray[np.float32],
    rng: np.random.Generator,
) -> SparseCell:
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
    background_markers
        Markers of the type of ``background``.
    markers
        Markers of the target type.
    scale
        Mean of each gene of the table over the cells that express it, at 10,000 counts per cell (`Corpus.gene_scale`); a
        gene with scale 0 is never raised.
    rng
        Source of the samples.
    """
    raised_genes, absent_genes = markers.sample_markers(rng)
    shared = np.isin(background_markers.gene, markers.gene[markers.strength > 0])
    removed_genes = np.concatenate(
        [background_markers.gene[(background_markers.strength >= MIN_STRENGTH) & ~shared], absent_genes]
    )
    is_retained = ~np.isin(background.gene, removed_genes)
    total = float(background.value.sum(dtype=np.float64))
    unit = count_unit(background.value)
    rate = scale[raised_genes] * np.exp(rng.normal(*LOG_FOLD_CHANGE, len(raised_genes))) * (total / TARGET_SUM)
    molecules = rng.poisson(np.minimum(rate / unit, 1e9))
    nonzero = molecules > 0
    raised_markers = SparseCell(raised_genes[nonzero], (molecules[nonzero] * unit).astype(np.float32))
    return add_cells(SparseCell(background.gene[is_retained], background.value[is_retained]), raised_markers)
