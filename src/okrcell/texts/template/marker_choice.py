"""Which genes mark a cell type, when several tables speak."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from okrcell.knowledge.evidence import Aspect, Evidence
from okrcell.knowledge.ontology import ontology, prefix_of
from okrcell.texts.known import Known
from okrcell.texts.screening.common_names import PROTEINS
from okrcell.texts.screening.gene_mentions import symbols_of

GENES = 5
"""Of so many marker genes, the first ones, it is told what they do."""
ENOUGH = 3
"""Fewer marker genes than this say little: the nearest broader type that has more is told of besides."""
ANCESTORS = 8
"""How many broader types are asked for markers, the nearest first."""

FEW = 6
"""So many marker genes are named even if only one table names them."""

_OWN_WORDS: tuple[Aspect, ...] = ("name", "synonym", "definition", "description")
_OPENING = 450
"""Characters of a description that are believed to be about the type itself; later ones compare it with others."""
_EVERYWHERE = re.compile(r"(RP[LS]\d+\w*|RPLP\d|MT-\w+|MTRNR\w+)")
"""Genes of ribosome and mitochondrion: every cell uses them, so neither their presence nor their absence is a mark."""
_PROTEIN = r"[A-Za-z]+[\w/]*\d\w*"
_NEGATIVE = re.compile(
    r"([A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)?)[- ](?:negative|low|dim)\b"
    rf"|\b(?:lack|lacks|lacking|without|no|not express(?:es|ing)?) (?:the |any |expression of )*({_PROTEIN})"
    rf"|\bnegative for (?:the )?(?:lineage )?(?:markers? )?({_PROTEIN}(?:(?:, and |, or |, | and | or ){_PROTEIN})*)"
)
"""What a type's own words say is missing, or nearly so: "CD16-negative", "lacks CD3", "negative for CD3 and CD19"."""


@dataclass(frozen=True)
class Markers:
    """Genes and the records that name at least one of them."""

    genes: tuple[str, ...] = ()
    """Approved symbols, those that most tables agree on first."""
    evidence: tuple[Evidence, ...] = ()


def general_markers(term_id: str, known: Known, most: int) -> Markers:
    """Choose the marker genes of a cell type in any tissue."""
    pieces = [piece for piece in known.telling_of(term_id, "marker") if not tissue_of(piece)]
    return _chosen(pieces, most, _denied(term_id, known))


def tissue_markers(term_id: str, tissue_id: str, known: Known, most: int) -> tuple[str, Markers]:
    """Choose the marker genes of a cell type in a tissue, else in what the tissue is directly part or kind of.

    Returns the id of that tissue too, "" without markers.
    """
    pieces = known.telling_of(term_id, "marker")
    for tissue in nearby_tissues(tissue_id):
        found = _chosen([p for p in pieces if tissue_of(p) == tissue], most, _denied(term_id, known))
        if found.genes:
            return tissue, found
    return "", Markers()


def absent_markers(term_id: str, known: Known, most: int) -> Markers:
    """Choose the genes that a cell type is told by lacking; one that more tables call a marker of it is none."""
    claims = [set(piece.genes) for piece in known.telling_of(term_id, "marker") if not tissue_of(piece)]
    claimed = {gene for genes in claims for gene in genes} - _disputed(term_id, known)
    pieces = [piece for piece in known.telling_of(term_id, "absent_marker") if not tissue_of(piece)]
    return _chosen(pieces, most, claimed)


@lru_cache(10_000)
def broader(term_id: str) -> tuple[str, ...]:
    """List the `ANCESTORS` nearest broader cell types, nearest first."""
    cells = ontology("CL")
    if cells.current(term_id) is None:
        return ()
    by_steps = sorted(cells.ancestors(term_id), key=lambda above: (cells.distance(term_id, above) or 0, above))
    return tuple(by_steps[:ANCESTORS])


def nearby_tissues(tissue_id: str) -> tuple[str, ...]:
    """List a tissue and what it is directly part or kind of."""
    if prefix_of(tissue_id) != "UBERON" or ontology("UBERON").current(tissue_id) is None:
        return (tissue_id,) if tissue_id else ()
    return (tissue_id, *ontology("UBERON").parents(tissue_id))


def tissue_of(piece: Evidence) -> str:
    """Tell the tissue that a record on markers is restricted to; "" when it is about the cell type anywhere."""
    return next((term for term in piece.terms if prefix_of(term) == "UBERON"), "")


def _chosen(pieces: Sequence[Evidence], most: int, refused: Iterable[str]) -> Markers:
    """Rank by the number of records that name a gene, then by its mean place in them.

    Of the genes that a single record names only so many are taken that there are `FEW` in all: lists are long, and their
    ends are weak.
    """
    refused = set(refused)
    places: dict[str, list[int]] = {}
    for piece in pieces:
        for place, gene in enumerate(dict.fromkeys(piece.genes)):
            if gene not in refused and not _EVERYWHERE.fullmatch(gene):
                places.setdefault(gene, []).append(place)
    ranked = sorted(places, key=lambda gene: (-len(places[gene]), sum(places[gene]) / len(places[gene]), gene))
    agreed = sum(len(of) > 1 for of in places.values())
    genes = tuple(ranked[: min(most, max(agreed, FEW))])
    return Markers(genes, tuple(piece for piece in pieces if set(genes) & set(piece.genes)))


def _denied(term_id: str, known: Known) -> frozenset[str]:
    """Gather the genes that the type's own words, or as many tables as claim them, say it lacks."""
    own = (piece.text[:_OPENING] for aspect in _OWN_WORDS for piece in known.record(term_id, aspect))
    found = (match for words in own for match in _NEGATIVE.finditer(words))
    negative = {name for match in found for part in match.groups("") for name in re.findall(r"[\w-]+", part)}
    genes = (symbols_of(name) | set(PROTEINS.get(name, "").split()) for name in negative)
    return _disputed(term_id, known).union(*genes)


def _disputed(term_id: str, known: Known) -> frozenset[str]:
    absent = Counter(gene for piece in known.telling_of(term_id, "absent_marker") for gene in set(piece.genes))
    claims = Counter(gene for piece in known.telling_of(term_id, "marker") for gene in set(piece.genes))
    return frozenset(gene for gene, times in absent.items() if times >= claims[gene])
