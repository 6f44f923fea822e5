"""Scores of each study from signatures that were fitted without it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.counts import MatrixRows
from okrcell.cells.expression import Expression
from okrcell.cells.genes import GeneResolution, GeneTable
from okrcell.data.dataset import PairDataset
from okrcell.model.marker_scores import GenePanel
from okrcell.model.sample_scores import sample_knn_graph, score_sample, similar_cells, smooth_values
from okrcell.model.signatures import SignatureHead
from okrcell.ontology.ontology import prefix_of
from okrcell.training.cell_type_profiles import KnownTypes, contains_averages

MAX_CELLS_PER_STUDY = 800
"""Maximum number of cells per study, so that no study dominates."""
MIN_CELLS_PER_STUDY = 100
"""A study with fewer cells, or of averages, is skipped: it is not a sample of cells."""


@dataclass(frozen=True)
class HeldOutStudy:
    """Cells of one study, and their candidate types."""

    name: str
    group: str
    """Group whose profiles are held out: the study and those that share its donors."""
    rows: sparse.csr_matrix
    """(cell, gene of the table), linear."""
    corpus_rows: NDArray[np.int64]
    truth: NDArray[np.intp]
    """Index of each cell's type in ``types``; -1 if its type is unknown."""
    types: tuple[str, ...]
    """Cell Ontology ids of the study's types that have signatures."""


@dataclass(frozen=True)
class StudyScores:
    """Signature scores of a study's cells."""

    scores: Float[np.ndarray, "cell candidate"]
    """NaN for a cell that expresses no gene of the panel, also in the other fields."""
    smoothed: Float[np.ndarray, "cell candidate"]
    """Scores smoothed over the nearest neighbors."""
    margin: Float[np.ndarray, " cell"]
    """Margin over known types outside the candidates, smoothed likewise."""
    graph: sparse.csr_matrix
    """kNN graph of the cells that have expression."""


def held_out_studies(
    pairs: PairDataset, rows: NDArray[np.int64], known_types: tuple[str, ...], overlapping: Mapping[str, str], seed: int
) -> Iterator[HeldOutStudy]:
    """Iterate over the studies with at least two known types and enough cells, each subsampled."""
    rng = np.random.default_rng([seed, 7])
    cell_type = pairs.cell_type[pairs.description]
    study_of_cell = pairs.corpus.obs["study"].to_numpy().astype(str)
    batch = pairs.corpus.obs["batch"].to_numpy().astype(str)
    names = np.array(pairs.cell_type_names, dtype=object)
    for name in np.unique(study_of_cell[rows]).tolist():
        study_rows = rows[study_of_cell[rows] == name]
        counts = np.bincount(cell_type[study_rows][cell_type[study_rows] >= 0], minlength=len(names))
        types = tuple(
            sorted(
                str(names[i])
                for i in np.flatnonzero(counts).tolist()
                if prefix_of(str(names[i])) == "CL" and names[i] in known_types
            )
        )
        if (
            len(study_rows) < MIN_CELLS_PER_STUDY
            or len(types) < 2
            or contains_averages(batch[study_rows], cell_type[study_rows])
        ):
            continue
        sampled_rows = np.sort(rng.permutation(study_rows)[:MAX_CELLS_PER_STUDY])
        index = {term: i for i, term in enumerate(types)}
        truth = np.array([index.get(str(names[i]), -1) if i >= 0 else -1 for i in cell_type[sampled_rows].tolist()])
        yield HeldOutStudy(
            name,
            overlapping.get(name, name),
            sparse.csr_matrix(pairs.corpus.rows(sampled_rows)),
            sampled_rows,
            truth,
            types,
        )


def score_study(
    study: HeldOutStudy,
    known_types: KnownTypes,
    head: SignatureHead,
    genes: NDArray[np.intp],
    panel: Bool[np.ndarray, " row"] | None = None,
    types: tuple[str, ...] | None = None,
    graph: sparse.csr_matrix | None = None,
) -> StudyScores:
    """Score the study's cells for its types, with signatures fitted without its group, on a gene panel.

    Parameters
    ----------
    genes
        For each gene of the model its row in the gene table.
    panel
        Mask of the measured rows of the gene table; by default all that any cell expresses.
    types
        Candidates instead of the study's types.
    graph
        kNN graph of the cells, if it was computed before.
    """
    types = study.types if types is None else types
    measured = np.asarray(study.rows.getnnz(axis=0) > 0) if panel is None else panel & (study.rows.getnnz(axis=0) > 0)
    expression = as_expression(sparse.csr_matrix(study.rows.multiply(measured[None, :].astype(np.float32))))
    signatures = known_types.signatures(study.group)
    gene_panel = GenePanel.from_measured(head, genes, measured[genes])
    candidates = sparse.csr_matrix(signatures[head.index_of(types)])
    sample_scores = score_sample(expression, gene_panel, head, types, candidates, signatures)
    rows = sample_scores.expressed_rows
    graph = sample_knn_graph(expression, rows) if graph is None else graph
    similar = similar_cells(sample_scores.scores, rows, graph)
    smoothed = smooth_values(sample_scores.scores, rows, similar)
    margin = smooth_values(sample_scores.margin[:, None], rows, similar)[:, 0]
    return StudyScores(sample_scores.scores, smoothed, margin, graph)


def as_expression(rows: sparse.csr_matrix) -> Expression:
    """Return rows of the corpus as the expression of a sample; genes that no cell expresses count as not measured."""
    table = GeneTable.bundled()
    row = np.where(rows.getnnz(axis=0) > 0, np.arange(len(table)), -1).astype(np.int32)
    resolution = GeneResolution(row, {}, (), "human", 1.0, 0)
    return Expression(
        len(rows.indptr) - 1, "linear", "the corpus", (), resolution, table, MatrixRows(rows, "the corpus")
    )
