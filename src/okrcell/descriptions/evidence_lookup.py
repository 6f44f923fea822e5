"""Evidence of all sources for a profile, and marker genes ranked by consensus over the marker tables."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from okrcell.descriptions.entities import PROTEINS, gene_symbols
from okrcell.evidence import Aspect, Evidence, KnowledgeSource
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import ontology, prefix_of

MAX_FUNCTION_GENES = 5
"""Number of top marker genes whose functions are described."""
MIN_MARKERS = 3
"""Minimum number of marker genes; below it, markers of the nearest broader type that has enough are added."""
MAX_ANCESTORS = 8
"""Number of broader types that are searched for markers, nearest first."""
MAX_UNCONFIRMED_MARKERS = 6
"""Genes listed in a single record are added only until this many markers are selected."""
_DESCRIPTIVE_ASPECTS: tuple[Aspect, ...] = ("name", "synonym", "definition", "description")
_MAX_OPENING_CHARS = 450
"""Number of characters at the start of a description that are read; later text often compares with other types."""
_UBIQUITOUS_GENES = re.compile(r"(RP[LS]\d+\w*|RPLP\d|MT-\w+|MTRNR\w+)")
"""Ribosomal and mitochondrial genes: expressed in every cell, hence neither markers nor negative markers."""
_PROTEIN = r"[A-Za-z]+[\w/]*\d\w*"
_NEGATIVE_STATEMENT = re.compile(
    r"([A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)?)[- ](?:negative|low|dim)\b"
    rf"|\b(?:lack|lacks|lacking|without|no|not express(?:es|ing)?) (?:the |any |expression of )*({_PROTEIN})"
    rf"|\bnegative for (?:the )?(?:lineage )?(?:markers? )?({_PROTEIN}(?:(?:, and |, or |, | and | or ){_PROTEIN})*)"
)
"""Statements that a gene is absent or low: "CD16-negative", "lacks CD3", "negative for CD3 and CD19"."""


class EvidenceIndex:
    """Pieces of evidence, looked up by aspect and by term or gene; results keep the order of the sources."""

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._by_aspect: dict[Aspect, list[Evidence]] = {}
        for piece in dict.fromkeys(evidence):
            self._by_aspect.setdefault(piece.aspect, []).append(piece)

    def from_record(self, term_id: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Return the evidence from the term's own record, such as its name or its synonyms."""
        return tuple(piece for piece in self.with_aspect(aspect) if piece.record == term_id)

    def mentioning(self, term_id: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Return the evidence of all records that mention a term."""
        return tuple(piece for piece in self.with_aspect(aspect) if term_id in piece.terms)

    def mentioning_gene(self, symbol: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Return the evidence of all records that mention a gene, by its approved symbol."""
        return tuple(piece for piece in self.with_aspect(aspect) if symbol in piece.genes)

    def definition(self, term_id: str) -> Evidence | None:
        """Return the term's definition in the ontology, None without one."""
        return next(iter(self.from_record(term_id, "definition")), None)

    def synonyms(self, term_id: str) -> tuple[str, ...]:
        """Return the term's synonyms."""
        return tuple(piece.text for piece in self.from_record(term_id, "synonym"))

    def with_aspect(self, aspect: Aspect) -> Sequence[Evidence]:
        """Return all evidence of an aspect."""
        return self._by_aspect.get(aspect, ())


def is_a_records(term_id: str, index: EvidenceIndex) -> tuple[Evidence, ...]:
    """Return the is-a records of a cell type; the second of a record's terms is the broader type."""
    return tuple(piece for piece in index.from_record(term_id, "passage") if len(piece.terms) == 2)


@dataclass(frozen=True)
class RankedMarkers:
    """Ranked marker genes and the records that list at least one of them."""

    genes: tuple[str, ...] = ()
    """Approved symbols, sorted by the number of records that list them."""
    evidence: tuple[Evidence, ...] = ()


def general_markers(term_id: str, index: EvidenceIndex, max_genes: int) -> RankedMarkers:
    """Select at most ``max_genes`` marker genes of a cell type from records without a tissue."""
    pieces = [piece for piece in index.mentioning(term_id, "marker") if not marker_tissue(piece)]
    return _rank_markers(pieces, max_genes, _negative_genes(term_id, index))


def tissue_markers(term_id: str, tissue_id: str, index: EvidenceIndex, max_genes: int) -> tuple[str, RankedMarkers]:
    """Select at most ``max_genes`` marker genes of a cell type in a tissue, else in a direct parent of the tissue.

    Returns
    -------
    The id of the tissue for which markers were found ("" without markers), and the markers.
    """
    pieces = index.mentioning(term_id, "marker")
    for tissue in nearby_tissues(tissue_id):
        markers = _rank_markers(
            [piece for piece in pieces if marker_tissue(piece) == tissue], max_genes, _negative_genes(term_id, index)
        )
        if markers.genes:
            return tissue, markers
    return "", RankedMarkers()


def absent_markers(term_id: str, index: EvidenceIndex, max_genes: int) -> RankedMarkers:
    """Select negative marker genes of a cell type; genes that more tables list as positive markers are excluded."""
    gene_sets = [set(piece.genes) for piece in index.mentioning(term_id, "marker") if not marker_tissue(piece)]
    positive_genes = {gene for genes in gene_sets for gene in genes} - _contested_genes(term_id, index)
    pieces = [piece for piece in index.mentioning(term_id, "absent_marker") if not marker_tissue(piece)]
    return _rank_markers(pieces, max_genes, positive_genes)


@lru_cache(10_000)
def broader_types(term_id: str) -> tuple[str, ...]:
    """Return the `MAX_ANCESTORS` nearest broader cell types, nearest first."""
    cell_ontology = ontology("CL")
    if cell_ontology.current_id(term_id) is None:
        return ()
    by_distance = sorted(
        cell_ontology.ancestors(term_id),
        key=lambda ancestor: (cell_ontology.distance(term_id, ancestor) or 0, ancestor),
    )
    return tuple(by_distance[:MAX_ANCESTORS])


def nearby_tissues(tissue_id: str) -> tuple[str, ...]:
    """Return a tissue and its direct parents."""
    if prefix_of(tissue_id) != "UBERON" or ontology("UBERON").current_id(tissue_id) is None:
        return (tissue_id,) if tissue_id else ()
    return (tissue_id, *ontology("UBERON").parents(tissue_id))


def marker_tissue(piece: Evidence) -> str:
    """Return the tissue that a marker record is restricted to; "" if it is not restricted."""
    return next((term for term in piece.terms if prefix_of(term) == "UBERON"), "")


def _rank_markers(pieces: Sequence[Evidence], max_genes: int, excluded: Iterable[str]) -> RankedMarkers:
    """Rank genes by the number of records that list them, then by their mean rank in these records.

    Genes listed in a single record are used only up to `MAX_UNCONFIRMED_MARKERS` genes in total: lists are long, and
    their ends unreliable.
    """
    excluded = set(excluded)
    ranks: dict[str, list[int]] = {}
    for piece in pieces:
        for rank, gene in enumerate(dict.fromkeys(piece.genes)):
            if gene not in excluded and not _UBIQUITOUS_GENES.fullmatch(gene):
                ranks.setdefault(gene, []).append(rank)
    ranked = sorted(ranks, key=lambda gene: (-len(ranks[gene]), sum(ranks[gene]) / len(ranks[gene]), gene))
    n_confirmed = sum(len(gene_ranks) > 1 for gene_ranks in ranks.values())
    genes = tuple(ranked[: min(max_genes, max(n_confirmed, MAX_UNCONFIRMED_MARKERS))])
    return RankedMarkers(genes, tuple(piece for piece in pieces if set(genes) & set(piece.genes)))


def _negative_genes(term_id: str, index: EvidenceIndex) -> frozenset[str]:
    """Return genes that the type's own record describes as absent, and the genes of `_contested_genes`."""
    texts = (
        piece.text[:_MAX_OPENING_CHARS]
        for aspect in _DESCRIPTIVE_ASPECTS
        for piece in index.from_record(term_id, aspect)
    )
    matches = (match for text in texts for match in _NEGATIVE_STATEMENT.finditer(text))
    negative = {name for match in matches for part in match.groups("") for name in re.findall(r"[\w-]+", part)}
    genes = (gene_symbols(name) | set(PROTEINS.get(name, "").split()) for name in negative)
    return _contested_genes(term_id, index).union(*genes)


def _contested_genes(term_id: str, index: EvidenceIndex) -> frozenset[str]:
    """Return genes that at least as many records list as negative markers as list them as markers."""
    negative_counts = Counter(gene for piece in index.mentioning(term_id, "absent_marker") for gene in set(piece.genes))
    positive_counts = Counter(gene for piece in index.mentioning(term_id, "marker") for gene in set(piece.genes))
    return frozenset(gene for gene, count in negative_counts.items() if count >= positive_counts[gene])


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

    The order is: cell type, tissue, disease; if fewer than `MIN_MARKERS` marker genes are known, the nearest broader type
    with at least that many, preceded by a record of the is-a relation; then gene records of the first
    `MAX_FUNCTION_GENES` marker genes. Markers of tissues other than the profile's are left out. For many profiles, pass
    one `EvidenceCache`: it caches the lookups.
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
