"""Scores of each study from signatures that were fitted without it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.genes import GeneResolution, GeneTable
from okrcell.cells.rows import MatrixRows
from okrcell.cells.samples.neighbours import drawn_to_neighbours, neighbour_graph, neighbours_share
from okrcell.cells.samples.sample import COMPONENTS, sample_components
from okrcell.knowledge.ontology import prefix_of
from okrcell.model.evidence import Contrast, balanced_usual, measured_part
from okrcell.model.relative_expression import Panel
from okrcell.model.rivals import lead_over_rivals, rivals
from okrcell.model.signature_head import SignatureHead
from okrcell.pairs.pair import Pairs
from okrcell.training.signatures import KnownTypes
from okrcell.training.study_profiles import holds_averages

CELLS_OF_A_STUDY = 800
"""Maximum number of cells per study, so that no study dominates."""
FEWEST_CELLS = 100
"""A study with fewer cells, or of averages, is skipped: it is not a sample of cells."""


@dataclass(frozen=True)
class LeftOutStudy:
    """Cells of one study, and their candidate types."""

    name: str
    group: str
    """Group whose profiles are held out: the study and those that share its donors."""
    rows: sparse.csr_matrix
    """(cell, gene of the table), linear."""
    corpus_row: NDArray[np.int64]
    truth: NDArray[np.intp]
    """Index of each cell's type in ``types``; -1 if its type is unknown."""
    types: tuple[str, ...]
    """Cell Ontology ids of the study's types that have signatures."""


@dataclass(frozen=True)
class Scored:
    """Signature scores of a study's cells."""

    scores: Float[np.ndarray, "cell candidate"]
    """NaN for a cell that expresses no gene of the panel, also in the other fields."""
    drawn: Float[np.ndarray, "cell candidate"]
    """Scores smoothed over the nearest neighbors."""
    lead: Float[np.ndarray, " cell"]
    """Margin over known types outside the candidates, smoothed likewise."""
    graph: sparse.csr_matrix
    """kNN graph of the cells that have expression."""


def left_out_studies(
    pairs: Pairs, rows: NDArray[np.int64], known: tuple[str, ...], overlapping: Mapping[str, str], seed: int
) -> Iterator[LeftOutStudy]:
    """Iterate over the studies with at least two known types and enough cells, each subsampled."""
    rng = np.random.default_rng([seed, 7])
    kind = pairs.cell_type[pairs.description]
    study = pairs.corpus.obs["study"].to_numpy().astype(str)
    batch = pairs.corpus.obs["batch"].to_numpy().astype(str)
    names = np.array(pairs.cell_type_names, dtype=object)
    for name in np.unique(study[rows]).tolist():
        mine = rows[study[rows] == name]
        counts = np.bincount(kind[mine][kind[mine] >= 0], minlength=len(names))
        types = tuple(
            sorted(
                str(names[number])
                for number in np.flatnonzero(counts).tolist()
                if prefix_of(str(names[number])) == "CL" and names[number] in known
            )
        )
        if len(mine) < FEWEST_CELLS or len(types) < 2 or holds_averages(batch[mine], kind[mine]):
            continue
        some = np.sort(rng.permutation(mine)[:CELLS_OF_A_STUDY])
        place = {term: number for number, term in enumerate(types)}
        truth = np.array([place.get(str(names[number]), -1) if number >= 0 else -1 for number in kind[some].tolist()])
        yield LeftOutStudy(
            name, overlapping.get(name, name), sparse.csr_matrix(pairs.corpus.rows(some)), some, truth, types
        )


def scored(
    study: LeftOutStudy,
    known: KnownTypes,
    head: SignatureHead,
    genes: NDArray[np.intp],
    panel: Bool[np.ndarray, " row"] | None = None,
    types: tuple[str, ...] | None = None,
    graph: sparse.csr_matrix | None = None,
) -> Scored:
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
    expression = _as_file(sparse.csr_matrix(study.rows.multiply(measured[None, :].astype(np.float32))))
    signatures = known.signatures(study.group)
    frame = Panel.of(head, genes, measured[genes])
    logs = sparse.csr_matrix(sparse.vstack([frame.logs(block) for block in expression.blocks()]))
    contrast = Contrast.of(sparse.csr_matrix(signatures[head.known(types)]), frame.measured)
    usual = balanced_usual(head, logs, contrast)
    scores = contrast.scores(logs, usual)
    others = measured_part(sparse.csr_matrix(signatures[rivals(head.types, types)]), frame.measured)
    lead = lead_over_rivals(scores.max(axis=1), contrast.scores(logs, usual, others))
    filled = np.flatnonzero(np.diff(logs.indptr) > 0)
    both = np.full((len(scores), len(types) + 1), np.nan)
    if graph is None:
        graph = neighbour_graph(sample_components(expression, COMPONENTS)[filled])
    both[filled] = drawn_to_neighbours(
        np.column_stack([scores, lead])[filled], graph, share=neighbours_share(int(frame.measured.sum()))
    )
    scores[np.isnan(both[:, -1])] = np.nan
    return Scored(scores, both[:, :-1], both[:, -1], graph)


def _as_file(rows: sparse.csr_matrix) -> Expression:
    table = GeneTable.bundled()
    resolution = GeneResolution(np.arange(len(table), dtype=np.int32), {}, (), "human", 1.0, 0)
    return Expression(
        len(rows.indptr) - 1, "linear", "the corpus", (), resolution, table, MatrixRows(rows, "the corpus")
    )
