"""Marker gene scores: each cell gets the candidate type whose markers have the highest z-scores."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.classical import (
    annotation_from_scores,
    expressed_rows,
    log_expression,
    pca_components,
    select_variable_genes,
)
from okrcell.benchmarking.methods import Annotation, MethodContext, get_matrix
from okrcell.cells.genes import GeneTable
from okrcell.knowledge.downloads import KnowledgeFiles
from okrcell.knowledge.markers import read_rows as table_rows
from okrcell.ontology.ontology import ontology

MIN_MARKERS = 40
"""Minimum number of markers among the measured genes: types with few markers are predicted everywhere. Chosen on the
pretraining sets among 1 to 100."""
MIN_CANDIDATES = 50
"""Minimum number of candidates, for gene panels: the types with the most measured markers."""


MARKER_TABLE_FILE = "cellmarker_accordion_by_cl.csv.gz"
EXCLUDED_RESOURCES = frozenset({"CELLxGENE", "Azimuth", "Celltypist_v2", "MSigDB"})
"""Resources of the table that were derived from atlases that benchmarks also use."""
MAX_MARKERS = 50
"""Maximum number of markers per type, by number of resources. Better than 20, 30, 100 or all on the pretraining sets."""
N_NEIGHBORS = 15
MAX_Z_SCORE = 3.0
"""Clip of a cell's z-scores, against single molecules of rare genes. Chosen on the pretraining sets."""

MarkerTable = Mapping[str, Mapping[str, int]]
"""Cell Ontology id to gene to number of resources that list it; negative for genes that the type does not express."""


class MarkerAnnotator:
    """Marker scores of single cells."""

    def __init__(self, context: MethodContext) -> None:
        self._file = KnowledgeFiles(context.knowledge).local_file(MARKER_TABLE_FILE).path

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Annotation:
        """Label each cell by the weighted sum of its markers' z-scores; ``seed`` is not used."""
        query = human_genes(query)
        rows = expressed_rows(query)
        scores = marker_scores(log_expression(query, rows), candidates, read_marker_table(self._file), MAX_Z_SCORE)
        return annotate_by_score(scores, candidates, rows, query.n_obs)


class SmoothedMarkerAnnotator:
    """Marker scores averaged over the nearest neighbours."""

    def __init__(self, context: MethodContext) -> None:
        self._file = KnowledgeFiles(context.knowledge).local_file(MARKER_TABLE_FILE).path

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Annotation:
        """Label each cell by the mean score of itself and its 14 nearest neighbours on 50 principal components.

        z-scores are not clipped here: averaging has the same purpose, and both together did worse on the pretraining sets.
        """
        from sklearn.neighbors import NearestNeighbors

        query = human_genes(query)
        rows = expressed_rows(query)
        log_expr = log_expression(query, rows)
        scores = marker_scores(log_expr, candidates, read_marker_table(self._file))
        vectors = pca_components(select_variable_genes(log_expr), seed)
        neighbors = NearestNeighbors(n_neighbors=min(N_NEIGHBORS, len(rows))).fit(vectors).kneighbors(vectors)[1]
        return annotate_by_score(scores[neighbors].mean(axis=1), candidates, rows, query.n_obs)


def human_genes(cells: AnnData) -> AnnData:
    """Return mouse cells with the symbols of one-to-one human orthologs, other cells as they are: the markers are human."""
    table = GeneTable.bundled()
    resolution = table.resolve(cells.var_names.tolist(), orthologs=True)
    if resolution.species != "mouse":
        return cells
    orthologs = cells[:, resolution.row >= 0].copy()
    orthologs.var_names = table.symbol[resolution.row[resolution.row >= 0]].tolist()
    orthologs.var_names_make_unique()
    return orthologs


@cache
def read_marker_table(file: Path) -> MarkerTable:
    """Read the human markers of the Cell Marker Accordion, without the resources `EXCLUDED_RESOURCES`."""
    support: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    current = cache(ontology("CL").current_id)
    for row in table_rows(file, "species", "CL_ID", "marker", "marker_type", "resources"):
        term = current(row["CL_ID"])
        if row["species"] == "Human" and term:
            n_resources = len(set(row["resources"].split("|")) - EXCLUDED_RESOURCES)
            support[term][row["marker"]] += -n_resources if row["marker_type"] == "negative" else n_resources
    return {term: {gene: count for gene, count in genes.items() if count} for term, genes in support.items()}


def marker_scores(
    log_expr: AnnData, candidates: Sequence[str], markers: MarkerTable, max_z: float | None = None
) -> Float[np.ndarray, "cell candidate"]:
    """Return the score of each candidate: Stouffer's weighted sum of its markers' z-scores, sum(w z) / sqrt(sum(w^2)).

    The weight of a marker is the number of resources that list it. z-scores are over the given cells, clipped to
    ``max_z`` on both sides. NaN for a candidate without markers among the measured genes.
    """
    index = {gene: i for i, gene in enumerate(log_expr.var_names)}
    weights = np.zeros((len(index), len(candidates)))
    for column, candidate in enumerate(candidates):
        measured = [(index[gene], weight) for gene, weight in markers.get(candidate, {}).items() if gene in index]
        for row, weight in sorted(measured, key=lambda pair: -abs(pair[1]))[:MAX_MARKERS]:
            weights[row, column] = weight
    used = np.flatnonzero(weights.any(axis=1))
    values = get_matrix(log_expr)[:, used].toarray().astype(np.float64)
    spread = values.std(axis=0)
    z = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    if max_z is not None:
        z = z.clip(-max_z, max_z)
    length = np.sqrt((weights**2).sum(axis=0))
    scores = z @ (weights[used] / np.where(length > 0, length, 1))
    scores[:, length == 0] = np.nan
    return scores


def annotate_by_score(
    scores: Float[np.ndarray, "cell candidate"], candidates: Sequence[str], rows: NDArray[np.intp], cells: int
) -> Annotation:
    """Label each cell by its best score; a candidate without markers has -inf and is never predicted."""
    if np.isnan(scores).all():
        return Annotation(
            np.full(cells, "", dtype=np.str_), tuple(candidates), np.full((cells, len(candidates)), np.nan)
        )
    return annotation_from_scores(
        np.where(np.isnan(scores), -np.inf, scores), candidates, rows, cells, sums_to_one=False
    )


class _AllTypesMarkerAnnotator:
    """Base class: selects the candidate types."""

    scorer: Callable[[MethodContext], Callable[..., Annotation]]

    def __init__(self, context: MethodContext) -> None:
        self._file = KnowledgeFiles(context.knowledge).local_file(MARKER_TABLE_FILE).path
        self._score = self.scorer(context)

    def __call__(self, query: AnnData, tissue: str | None, seed: int) -> Annotation:
        """Label each cell by the type with the highest marker score; ``tissue`` is not used."""
        measured = set(query.var_names)
        n_markers = {
            term: sum(support > 0 and gene in measured for gene, support in genes.items())
            for term, genes in read_marker_table(self._file).items()
        }
        order = sorted(n_markers, key=lambda term: (-n_markers[term], term))
        n_sufficient = sum(count >= MIN_MARKERS for count in n_markers.values())
        candidates = [term for term in order[: max(n_sufficient, MIN_CANDIDATES)] if n_markers[term]]
        return self._score(query, candidates, seed)


class OpenMarkerAnnotator(_AllTypesMarkerAnnotator):
    """Marker scores of single cells, all types as candidates."""

    scorer = MarkerAnnotator


class SmoothedOpenMarkerAnnotator(_AllTypesMarkerAnnotator):
    """Marker scores averaged over the nearest neighbours, all types as candidates."""

    scorer = SmoothedMarkerAnnotator
