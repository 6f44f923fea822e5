"""Marker gene scores without candidates: all Cell Ontology types with enough known markers are candidates."""

from collections.abc import Callable

from anndata import AnnData

from okrcell.benchmarking.baselines import marker_genes as markers
from okrcell.benchmarking.method import Annotation, MethodContext
from okrcell.knowledge.downloads import KnowledgeFiles

MIN_MARKERS = 40
"""Minimum number of markers among the measured genes: types with few markers are predicted everywhere. Chosen on the
pretraining sets among 1 to 100."""
MIN_CANDIDATES = 50
"""Minimum number of candidates, for gene panels: the types with the most measured markers."""


class _AllTypesMarkerAnnotator:
    """Base class: selects the candidate types."""

    scorer: Callable[[MethodContext], Callable[..., Annotation]]

    def __init__(self, context: MethodContext) -> None:
        self._file = KnowledgeFiles(context.knowledge).local_file(markers.MARKER_TABLE_FILE).path
        self._score = self.scorer(context)

    def __call__(self, query: AnnData, tissue: str | None, seed: int) -> Annotation:
        """Label each cell by the type with the highest marker score; ``tissue`` is not used."""
        measured = set(query.var_names)
        n_markers = {
            term: sum(support > 0 and gene in measured for gene, support in genes.items())
            for term, genes in markers.read_marker_table(self._file).items()
        }
        order = sorted(n_markers, key=lambda term: (-n_markers[term], term))
        n_sufficient = sum(count >= MIN_MARKERS for count in n_markers.values())
        candidates = [term for term in order[: max(n_sufficient, MIN_CANDIDATES)] if n_markers[term]]
        return self._score(query, candidates, seed)


class OpenMarkerAnnotator(_AllTypesMarkerAnnotator):
    """Marker scores of single cells, all types as candidates."""

    scorer = markers.MarkerAnnotator


class SmoothedOpenMarkerAnnotator(_AllTypesMarkerAnnotator):
    """Marker scores averaged over the nearest neighbours, all types as candidates."""

    scorer = markers.SmoothedMarkerAnnotator
