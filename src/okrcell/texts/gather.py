"""Collect the evidence of all knowledge sources for a profile."""

from collections.abc import Sequence

from okrcell.evidence import Evidence, KnowledgeSource
from okrcell.ontology.ontology import ontology
from okrcell.texts.known import EvidenceIndex
from okrcell.ontology.obs_profile import CellProfile
from okrcell.descriptions.evidence_lookup import (
    MAX_FUNCTION_GENES,
    MIN_MARKERS,
    broader_types,
    general_markers,
    marker_tissue,
    nearby_tissues,
)


class EvidenceCache:
    """Knowledge sources with a cache: each term or gene is looked up once."""

    def __init__(self, sources: Sequence[KnowledgeSource]) -> None:
        self._sources = tuple(sources)
        self._cache: dict[str, tuple[Evidence, ...]] = {}

    def evidence_for(self, term_or_gene: str) -> tuple[Evidence, ...]:
        """Return the evidence for an ontology term or a gene symbol, in the order of the sources."""
        if term_or_gene not in self._cache:
            evidence = (piece for source in self._sources for piece in source.evidence_for(term_or_gene))
            self._cache[term_or_gene] = tuple(evidence)
        return self._cache[term_or_gene]


def gather_evidence(profile: CellProfile, sources: Sequence[KnowledgeSource] | EvidenceCache) -> list[Evidence]:
    """Return the evidence for a profile: its terms, a broader cell type where needed, its marker genes.

    The order is: cell type, tissue, disease; if fewer than `ENOUGH` marker genes are known, the nearest broader type
    with at least that many, preceded by a record of the is-a relation; then gene records of the first `GENES` marker
    genes. Markers of tissues other than the profile's are left out. For many profiles, pass one `EvidenceCache`: it caches
    the lookups.
    """
    cache = sources if isinstance(sources, EvidenceCache) else EvidenceCache(sources)
    terms = dict.fromkeys(filter(None, (profile.cell_type_id, profile.tissue_id, profile.disease_id)))
    tissue_ids = frozenset(nearby_tissues(profile.tissue_id))
    evidence = [piece for term in terms for piece in cache.evidence_for(term) if _matches_tissue(piece, tissue_ids)]
    if not profile.cell_type_id:
        return evidence
    markers = general_markers(profile.cell_type_id, EvidenceIndex(evidence), MAX_FUNCTION_GENES)
    if len(markers.genes) < MIN_MARKERS:
        for term in broader_types(profile.cell_type_id):
            broader_evidence = [
                piece for piece in cache.evidence_for(term) if piece.aspect in ("name", "marker", "absent_marker")
            ]
            broader_evidence = [piece for piece in broader_evidence if not marker_tissue(piece)]
            broader_markers = general_markers(term, EvidenceIndex(broader_evidence), MAX_FUNCTION_GENES)
            if len(broader_markers.genes) >= MIN_MARKERS:
                evidence += [_is_a_evidence(profile.cell_type_id, term), *broader_evidence]
                markers = broader_markers
                break
    for gene in markers.genes:
        evidence += [piece for piece in cache.evidence_for(gene) if piece.aspect in ("gene", "function")]
    return evidence


def _is_a_evidence(term_id: str, broader_id: str) -> Evidence:
    cell_ontology = ontology("CL")
    term, broader_term = cell_ontology.term(term_id), cell_ontology.term(broader_id)
    text = f"{term.name} is a kind of {broader_term.name}."
    return Evidence(
        text,
        cell_ontology.name,
        term.id,
        cell_ontology.snapshot,
        cell_ontology.licence,
        "passage",
        (term.id, broader_term.id),
    )


def _matches_tissue(piece: Evidence, tissue_ids: frozenset[str]) -> bool:
    return (
        piece.aspect not in ("marker", "absent_marker")
        or not marker_tissue(piece)
        or marker_tissue(piece) in tissue_ids
    )
