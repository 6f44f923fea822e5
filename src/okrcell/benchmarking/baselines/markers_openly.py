"""Marker genes out of the whole Cell Ontology: every type that enough markers are known of is a candidate."""

from collections.abc import Callable

from anndata import AnnData

from okrcell.benchmarking.baselines import markers
from okrcell.benchmarking.method import Named, Surroundings
from okrcell.knowledge.snapshots import KnowledgeFiles

FEWEST_MARKERS = 40
"""Among the measured genes: a type that few genes stand for is found everywhere. The choice of the pretraining sets, of 1 to
100."""
MOST_OF_A_PANEL = 50
"""Where few genes are measured, so many types at least: those of which most markers are."""


class _OutOfAll:
    """What both ways have in common: which types are tried."""

    scorer: Callable[[Surroundings], Callable[..., Named]]

    def __init__(self, surroundings: Surroundings) -> None:
        self._file = KnowledgeFiles(surroundings.knowledge).file(markers.TABLE).path
        self._score = self.scorer(surroundings)

    def __call__(self, query: AnnData, tissue: str | None, seed: int) -> Named:
        """Name each cell by the type whose markers stand out most; ``tissue`` has no say, for markers know nothing of it."""
        measured = set(query.var_names)
        number = {
            term: sum(by > 0 and gene in measured for gene, by in genes.items())
            for term, genes in markers.markers_of(self._file).items()
        }
        order = sorted(number, key=lambda term: (-number[term], term))
        enough = sum(many >= FEWEST_MARKERS for many in number.values())
        candidates = [term for term in order[: max(enough, MOST_OF_A_PANEL)] if number[term]]
        return self._score(query, candidates, seed)


class Plain(_OutOfAll):
    """Each cell by itself."""

    scorer = markers.Plain


class Smoothed(_OutOfAll):
    """Each cell with those that are most like it."""

    scorer = markers.Smoothed
