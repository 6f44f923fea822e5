"""Collect the evidence of all knowledge sources for a profile."""

from collections.abc import Sequence

from okrcell.knowledge.evidence import Evidence, KnowledgeSource
from okrcell.knowledge.ontology import ontology
from okrcell.texts.known import Known
from okrcell.texts.profile import CellProfile
from okrcell.texts.template.marker_choice import ENOUGH, GENES, broader, general_markers, nearby_tissues, tissue_of


class Inquiry:
    """Knowledge sources with a cache: each term or gene is looked up once."""

    def __init__(self, sources: Sequence[KnowledgeSource]) -> None:
        self._sources = tuple(sources)
        self._answers: dict[str, tuple[Evidence, ...]] = {}

    def about(self, term_or_gene: str) -> tuple[Evidence, ...]:
        """Return the evidence for an ontology term or a gene symbol, in the order of the sources."""
        if term_or_gene not in self._answers:
            told = (piece for source in self._sources for piece in source.about(term_or_gene))
            self._answers[term_or_gene] = tuple(told)
        return self._answers[term_or_gene]


def evidence_for(profile: CellProfile, sources: Sequence[KnowledgeSource] | Inquiry) -> list[Evidence]:
    """Return the evidence for a profile: its terms, a broader cell type where needed, its marker genes.

    The order is: cell type, tissue, disease; if fewer than `ENOUGH` marker genes are known, the nearest broader type
    with at least that many, preceded by a record of the is-a relation; then gene records of the first `GENES` marker
    genes. Markers of tissues other than the profile's are left out. For many profiles, pass one `Inquiry`: it caches
    the lookups.
    """
    inquiry = sources if isinstance(sources, Inquiry) else Inquiry(sources)
    terms = dict.fromkeys(filter(None, (profile.cell_type_id, profile.tissue_id, profile.disease_id)))
    places = frozenset(nearby_tissues(profile.tissue_id))
    evidence = [piece for term in terms for piece in inquiry.about(term) if _fits(piece, places)]
    if not profile.cell_type_id:
        return evidence
    markers = general_markers(profile.cell_type_id, Known(evidence), GENES)
    if len(markers.genes) < ENOUGH:
        for term in broader(profile.cell_type_id):
            told = [piece for piece in inquiry.about(term) if piece.aspect in ("name", "marker", "absent_marker")]
            told = [piece for piece in told if not tissue_of(piece)]
            theirs = general_markers(term, Known(told), GENES)
            if len(theirs.genes) >= ENOUGH:
                evidence += [_kinship(profile.cell_type_id, term), *told]
                markers = theirs
                break
    for gene in markers.genes:
        evidence += [piece for piece in inquiry.about(gene) if piece.aspect in ("gene", "function")]
    return evidence


def _kinship(term_id: str, broader_id: str) -> Evidence:
    home = ontology("CL")
    term, above = home.term(term_id), home.term(broader_id)
    text = f"{term.name} is a kind of {above.name}."
    return Evidence(text, home.name, term.id, home.snapshot, home.licence, "passage", (term.id, above.id))


def _fits(piece: Evidence, places: frozenset[str]) -> bool:
    return piece.aspect not in ("marker", "absent_marker") or not tissue_of(piece) or tissue_of(piece) in places
