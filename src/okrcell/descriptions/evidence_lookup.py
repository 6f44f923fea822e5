"""Marker genes of a cell type, ranked by consensus over the marker tables."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from okrcell.evidence import Aspect, Evidence
from okrcell.ontology.ontology import ontology, prefix_of
from okrcell.texts.known import EvidenceIndex
from okrcell.texts.screening.common_names import PROTEINS
from okrcell.texts.screening.gene_mentions import gene_symbols

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

    Genes listed in a single record are used only up to `MAX_UNCONFIRMED_MARKERS` genes in total: lists are long, and their ends unreliable.
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
