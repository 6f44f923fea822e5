"""Marker gene scores without candidates: all Cell Ontology types with enough known markers are candidates."""

from collections.abc import Callable

from anndata import AnnData

from okrcell.benchmarking.baselines import markers
from okrcell.benchmarking.method import Named, Surroundings
from okrcell.knowledge.snapshots import KnowledgeFiles

FEWEST_MARKERS = 40
"""Minimum number of markers among the measured genes: types with few markers are predicted everywhere. Chosen on the
pretraining sets among 1 to 100."""
MOST_OF_A_PANEL = 50
"""Minimum number of candidates, for gene panels: the types with the most measured markers."""


class _OutOfAll:
    """Base class: selects the candidate types."""

    scorer: Callable[[Surroundings], Callable[..., Named]]

    def __init__(self, surroundings: Surroundings) -> None:
        self._file = KnowledgeFiles(surroundings.knowledge).file(markers.TABLE).path
        self._score = self.scorer(surroundings)

    def __call__(self, query: AnnData, tissue: str | None, seed: int) -> Named:
        """Label each cell by the type with the highest marker score; ``tissue`` is not used."""
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
    """Marker scores of single cells, all types as candidates."""

    scorer = markers.Plain


class Smoothed(_OutOfAll):
    """Marker scores averaged over the nearest neighbours, all types as candidates."""

    scorer = markers.Smoothed
