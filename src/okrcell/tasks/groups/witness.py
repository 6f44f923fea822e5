"""Check whether known marker genes of the assigned type are expressed in the group."""

from dataclasses import dataclass

from okrcell.tasks.rank_genes import MIN_FRACTION, MIN_LOG2_FOLD, GroupGenes
from okrcell.texts.gather import EvidenceCache
from okrcell.texts.known import EvidenceIndex
from okrcell.descriptions.evidence_lookup import RankedMarkers, broader_types, general_markers

MAX_MARKERS = 10
"""Maximum number of best supported marker genes of a type that are checked."""
MIN_MEASURED = 3
"""Minimum number of measured marker genes for a contradiction."""
MIN_MARKING = 2
"""Minimum number of marker genes that mark the group for a confirmation."""


@dataclass(frozen=True)
class MarkerSupport:
    """Expression of a type's known marker genes in a group."""

    term_id: str
    markers: RankedMarkers
    """Best supported marker genes of the type, with their records."""
    measured: tuple[str, ...]
    """Marker genes that were measured."""
    group_markers: tuple[str, ...]
    """Marker genes that mark the group."""
    expressed: tuple[str, ...]
    """Marker genes expressed in at least a quarter of the group's cells, and not lower than in other cells."""

    @property
    def contradicts(self) -> bool:
        """Whether enough marker genes were measured and none is expressed."""
        return len(self.measured) >= MIN_MEASURED and not self.expressed and not self.group_markers

    @property
    def confirms(self) -> bool:
        """Whether enough marker genes mark the group."""
        return len(self.group_markers) >= MIN_MARKING


def marker_support(term_id: str, genes: GroupGenes, evidence_cache: EvidenceCache) -> MarkerSupport | None:
    """Check the known marker genes of a cell type in a group; None if no source has any."""
    markers = general_markers(term_id, EvidenceIndex(evidence_cache.evidence_for(term_id)), MAX_MARKERS)
    if not markers.genes:
        return None
    results = [gene for gene in map(genes.get, markers.genes) if gene is not None]
    group_markers = tuple(gene.symbol for gene in results if gene.is_marker)
    expressed = tuple(
        gene.symbol for gene in results if gene.inside >= MIN_FRACTION and gene.log2_fold > -MIN_LOG2_FOLD
    )
    return MarkerSupport(term_id, markers, tuple(gene.symbol for gene in results), group_markers, expressed)


def confirmed_ancestor(term_id: str, genes: GroupGenes, evidence_cache: EvidenceCache) -> MarkerSupport | None:
    """Return the nearest broader type whose marker genes mark the group; None if there is none."""
    supports = (marker_support(ancestor, genes, evidence_cache) for ancestor in broader_types(term_id))
    return next((support for support in supports if support is not None and support.confirms), None)
