"""Pairs simulated from marker knowledge, for cell types with or without cells in the corpus."""

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from okrcell.cells.genes import TARGET_SUM, GeneTable
from okrcell.data.dataset import PairDataset
from okrcell.data.expression_noise import SparseCell, add_cells, count_unit, split_cells
from okrcell.descriptions.metadata_text import label_texts
from okrcell.descriptions.ontology_markers import MarkerSelection
from okrcell.descriptions.template_writer import describe
from okrcell.errors import InputError
from okrcell.knowledge.cell_type_markers import MIN_POSITIVE_MARKERS, MarkerConsensus
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import ontology
from okrcell.settings import Settings

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


class KnowledgeSettings(Settings):
    """Use of marker knowledge in training (method 11.1; ours)."""

    folder: Path | None = None
    """Folder of the knowledge files (`okrcell knowledge list`); by default the user's cache. Rows derived from atlases that
    benchmarks use are never read."""
    markers: MarkerSelection = "open"
    """Statements on marker genes. open: of openly licensed resources (`okrcell.knowledge.marker_licences`), so that the model
    may be shared; all: of all tables in the folder, whose licences then apply to the model's signatures."""
    share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of a batch that are simulated pairs: a text of a cell type with a simulated cell. 0 by default: method 11.1
    proposes 0.05, but it gave no improvement (docs/results/second-model.md)."""
    trust: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Reliability weight W of a simulated pair. It is constant: reliability is estimated for measured cells only."""
    gene_start: bool = True
    """Initialise gene embeddings from gene texts instead of at random (`okrcell.model.gene_init`)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed for the embeddings of genes without a text."""


class SimulatedBatch(NamedTuple):
    """A batch of simulated pairs."""

    expression: sparse.csr_matrix
    """float32 (pair, gene of the table), linear scale."""
    text: NDArray[np.int64]
    """Index of each pair's text in `SimulatedPairs.texts`."""
    cell_type: NDArray[np.int64]
    """Index of each pair's cell type in `SimulatedPairs.cell_type_names`."""


class SimulatedPairs:
    """Sampler of simulated pairs: a text of a cell type and a background cell in which the markers of this type are raised.

    Texts and cell types extend those of the corpus: indices below ``len(pairs.texts)`` and ``len(pairs.cell_type_names)``
    keep their meaning, so that measured and simulated cells of one type share an index.

    Parameters
    ----------
    pairs
        Measured pairs of the corpus.
    rows
        Training cells, as rows of the corpus; only these are used as background cells.
    known
        Marker genes per cell type.
    settings
        Fraction, weight and seed of simulated pairs.

    Raises
    ------
    InputError
        If no cell type has enough markers expressed in the corpus, or there is no training cell.
    """

    def __init__(
        self, dataset: PairDataset, rows: NDArray[np.int64], markers: MarkerConsensus, settings: KnowledgeSettings
    ) -> None:
        table = GeneTable.bundled()
        self.settings = settings
        self._scale = dataset.corpus.gene_scale()
        strength = markers.on_gene_axis(table.resolve(markers.genes).row, len(table))
        strength = strength.multiply((self._scale > 0)[None, :]).tocsr()
        self.types = tuple(
            name
            for name, has_enough in zip(markers.types, _n_markers(strength) >= MIN_POSITIVE_MARKERS, strict=True)
            if has_enough
        )
        """Cell Ontology ids of the simulated cell types."""
        if not self.types or not len(rows):
            raise InputError(
                f"The corpus does not express {MIN_POSITIVE_MARKERS} marker genes of any of the {len(markers.types)} cell "
                "types in the knowledge files. Remove knowledge from the settings, or set knowledge.share to 0."
            )
        self._markers = {name: _type_markers(strength, markers.type_index[name]) for name in self.types}
        texts_by_type = [_type_texts(name) for name in self.types]
        text_index = {text: index for index, text in enumerate(dataset.texts)}
        for text in (text for type_texts in texts_by_type for text in type_texts):
            text_index.setdefault(text, len(text_index))
        self.texts = tuple(text_index)
        self._text_indices = [np.array([text_index[text] for text in type_texts]) for type_texts in texts_by_type]
        index = {name: index for index, name in enumerate(dataset.cell_type_names)}
        for name in self.types:
            index.setdefault(name, len(index))
        self.cell_type_names = tuple(index)
        self._cell_type_indices = np.array([index[name] for name in self.types])
        # Cells of the corpus itself, without the noise that may be added to the pairs.
        self._corpus, self._rows = dataset.corpus, rows
        self._background_type = dataset.cell_type[dataset.clean_description[rows]]
        study = dataset.corpus.obs["study"].cat.codes.to_numpy()[rows]
        self._cumulative_weights = np.cumsum(np.bincount(study)[study] ** -0.5)

    def sample(self, n_pairs: int, rng: np.random.Generator) -> SimulatedBatch:
        """Sample ``n_pairs`` simulated pairs: uniform over cell types and over the texts of a type.

        Background cells are sampled from all studies, each in proportion to the square root of its size.
        """
        type_ids = rng.integers(0, len(self.types), n_pairs)
        text = np.array([rng.choice(self._text_indices[type_id]) for type_id in type_ids.tolist()], dtype=np.int64)
        background = np.searchsorted(
            self._cumulative_weights, rng.random(n_pairs) * self._cumulative_weights[-1], side="right"
        )
        cells = [
            simulate_cell(cell, self._markers_of(background_type), self._markers[self.types[type_id]], self._scale, rng)
            for cell, background_type, type_id in zip(
                split_cells(self._corpus.rows(self._rows[background])),
                self._background_type[background].tolist(),
                type_ids.tolist(),
                strict=True,
            )
        ]
        return SimulatedBatch(_cells_to_csr(cells, len(self._scale)), text, self._cell_type_indices[type_ids])

    def _markers_of(self, cell_type: int) -> TypeMarkers:
        return self._markers.get(self.cell_type_names[cell_type], NO_MARKERS) if cell_type >= 0 else NO_MARKERS


def _n_markers(strength: sparse.csr_matrix) -> NDArray[np.integer]:
    """Number of positive markers of each type."""
    n_types = len(strength.indptr) - 1
    row = np.repeat(np.arange(n_types), np.diff(strength.indptr))
    return np.bincount(row[strength.data > 0], minlength=n_types)


def _type_markers(strength: sparse.csr_matrix, row: int) -> TypeMarkers:
    span = slice(strength.indptr[row], strength.indptr[row + 1])
    order = np.argsort(strength.indices[span])
    return TypeMarkers(strength.indices[span][order].astype(np.int32), strength.data[span][order].astype(np.float32))


def _type_texts(cell_type: str) -> tuple[str, ...]:
    """Texts of a cell type: its candidate prompts and the description of a cell of this type."""
    term = ontology("CL").term(cell_type)
    (description,) = describe([CellProfile(cell_type=term.name, cell_type_id=cell_type)])
    return tuple(dict.fromkeys((*label_texts(cell_type), *description.phrasings)))


def _cells_to_csr(cells: list[SparseCell], n_genes: int) -> sparse.csr_matrix:
    gene = np.concatenate([np.zeros(0, dtype=np.int32), *(cell.gene for cell in cells)])
    value = np.concatenate([np.zeros(0, dtype=np.float32), *(cell.value for cell in cells)])
    indptr = np.cumsum([0, *(len(cell.gene) for cell in cells)])
    matrix = sparse.csr_matrix((value, gene, indptr), shape=(len(cells), n_genes))
    matrix.has_sorted_indices = True
    return matrix
