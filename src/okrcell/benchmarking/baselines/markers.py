"""Marker genes: the type whose known markers stand out the most in a cell."""

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
"""Resources of the table that were made from atlases which benchmarks use as well."""
MOST_MARKERS = 50
"""Of each type, those that most resources name. On the pretraining sets better than 20, 30, 100 or all of them."""
NEIGHBOURS = 15
HIGHEST_Z = 3.0
"""Of one cell: a single molecule of a rare gene is no more telling. Again the choice of the pretraining sets."""

Markers = Mapping[str, Mapping[str, int]]
"""By Cell Ontology id, gene to the number of resources that name it; below zero where they say that the type lacks it."""


class Plain:
    """Each cell by itself."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._file = KnowledgeFiles(surroundings.knowledge).file(TABLE).path

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Named:
        """Name each cell by the sum of its markers' z-scores; ``seed`` has no say."""
        rows = expressed(query)
        scores = marker_scores(logs_of(query, rows), candidates, markers_of(self._file), HIGHEST_Z)
        return named_by_score(scores, candidates, rows, query.n_obs)


class Smoothed:
    """Each cell with those that are most like it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._file = KnowledgeFiles(surroundings.knowledge).file(TABLE).path

    def __call__(self, query: AnnData, candidates: Sequence[str], seed: int) -> Named:
        """Name each cell by the mean of its own scores and those of its 14 nearest, on 50 components.

        Here z-scores are not cut off: the mean over neighbours does what the cut is for, and on the pretraining sets the
        two together did worse.
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
    """Read the human rows of the Cell Marker Accordion, without the resources that are `LEFT_OUT`."""
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
    """Return for each candidate the weighted sum of its markers' z-scores, in standard deviations of independent genes.

    A marker weighs as many resources as name it: sum of w z, divided by the root of the sum of w squared (Stouffer). NaN
    for a candidate without markers among the measured genes. z-scores are taken over the cells that are given, and kept
    within ``highest`` on both sides.
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
    """Give the best name that has a score at all; a name without markers is never given and has -inf."""
    if np.isnan(scores).all():
        return Named(np.full(cells, "", dtype=np.str_), tuple(candidates), np.full((cells, len(candidates)), np.nan))
    return named_in_place(np.where(np.isnan(scores), -np.inf, scores), candidates, rows, cells, sums_to_one=False)
