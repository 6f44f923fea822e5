"""Marker gene scores: each cell gets the candidate type whose markers have the highest z-scores."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.ground import expressed, logs_of, named_in_place
from okrcell.benchmarking.baselines.hvg_pca import components_of, variable_genes
from okrcell.benchmarking.cells import values_of
from okrcell.benchmarking.method import Named, Surroundings
from okrcell.knowledge.ontology import ontology
from okrcell.knowledge.snapshots import KnowledgeFiles
from okrcell.knowledge.sources.tables import rows as table_rows

TABLE = "cellmarker_accordion_by_cl.csv.gz"
LEFT_OUT = frozenset({"CELLxGENE", "Azimuth", "Celltypist_v2", "MSigDB"})
"""Resources of the table that were derived from atlases that benchmarks also use."""
MOST_MARKERS = 50
"""Maximum number of markers per type, by number of resources. Better than 20, 30, 100 or all on the pretraining sets."""
NEIGHBOURS = 15
HIGHEST_Z = 3.0
"""Clip of a cell's z-scores, against single molecules of rare genes. Chosen on the pretraining sets."""

Markers = Mapping[str, Mapping[str, int]]
"""Cell Ontology id to gene to number of resources that list it; negative for genes that the type does not express."""


class Plain:
    """Marker scores of single cells."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._file = KnowledgeFiles(surroundings.knowledge).file(TABLE).path

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Named:
        """Label each cell by the weighted sum of its markers' z-scores; ``seed`` is not used."""
        rows = expressed(query)
        scores = marker_scores(logs_of(query, rows), candidates, markers_of(self._file), HIGHEST_Z)
        return named_by_score(scores, candidates, rows, query.n_obs)


class Smoothed:
    """Marker scores averaged over the nearest neighbours."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._file = KnowledgeFiles(surroundings.knowledge).file(TABLE).path

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Named:
        """Label each cell by the mean score of itself and its 14 nearest neighbours on 50 principal components.

        z-scores are not clipped here: averaging has the same purpose, and both together did worse on the pretraining sets.
        """
        from sklearn.neighbors import NearestNeighbors

        rows = expressed(query)
        logs = logs_of(query, rows)
        scores = marker_scores(logs, candidates, markers_of(self._file))
        vectors = components_of(variable_genes(logs), seed)
        near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(rows))).fit(vectors).kneighbors(vectors)[1]
        return named_by_score(scores[near].mean(axis=1), candidates, rows, query.n_obs)


@cache
def markers_of(file: Path) -> Markers:
    """Read the human markers of the Cell Marker Accordion, without the resources `LEFT_OUT`."""
    support: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    current = cache(ontology("CL").current)
    for row in table_rows(file, "species", "CL_ID", "marker", "marker_type", "resources"):
        term = current(row["CL_ID"])
        if row["species"] == "Human" and term:
            several = len(set(row["resources"].split("|")) - LEFT_OUT)
            support[term][row["marker"]] += -several if row["marker_type"] == "negative" else several
    return {term: {gene: by for gene, by in genes.items() if by} for term, genes in support.items()}


def marker_scores(
    logs: AnnData, candidates: Sequence[str], markers: Markers, highest: float | None = None
) -> Float[np.ndarray, "cell candidate"]:
    """Return the score of each candidate: Stouffer's weighted sum of its markers' z-scores, sum(w z) / sqrt(sum(w^2)).

    The weight of a marker is the number of resources that list it. z-scores are over the given cells, clipped to
    ``highest`` on both sides. NaN for a candidate without markers among the measured genes.
    """
    place = {gene: number for number, gene in enumerate(logs.var_names)}
    weights = np.zeros((len(place), len(candidates)))
    for column, candidate in enumerate(candidates):
        known = [(place[gene], by) for gene, by in markers.get(candidate, {}).items() if gene in place]
        for row, by in sorted(known, key=lambda one: -abs(one[1]))[:MOST_MARKERS]:
            weights[row, column] = by
    used = np.flatnonzero(weights.any(axis=1))
    values = values_of(logs)[:, used].toarray().astype(np.float64)
    spread = values.std(axis=0)
    z = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    if highest is not None:
        z = z.clip(-highest, highest)
    length = np.sqrt((weights**2).sum(axis=0))
    scores = z @ (weights[used] / np.where(length > 0, length, 1))
    scores[:, length == 0] = np.nan
    return scores


def named_by_score(
    scores: Float[np.ndarray, "cell candidate"], candidates: Sequence[str], rows: NDArray[np.intp], cells: int
) -> Named:
    """Label each cell by its best score; a candidate without markers has -inf and is never predicted."""
    if np.isnan(scores).all():
        return Named(np.full(cells, "", dtype=np.str_), tuple(candidates), np.full((cells, len(candidates)), np.nan))
    return named_in_place(np.where(np.isnan(scores), -np.inf, scores), candidates, rows, cells, sums_to_one=False)
