"""Marker genes of a cell type, ranked by consensus over the marker tables."""

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
"""Number of top marker genes whose functions are described."""
ENOUGH = 3
"""Minimum number of marker genes; below it, markers of the nearest broader type that has enough are added."""
ANCESTORS = 8
"""Number of broader types that are searched for markers, nearest first."""

FEW = 6
"""Genes listed in a single record are added only until this many markers are selected."""

_OWN_WORDS: tuple[Aspect, ...] = ("name", "synonym", "definition", "description")
_OPENING = 450
"""Number of characters at the start of a description that are read; later text often compares with other types."""
_EVERYWHERE = re.compile(r"(RP[LS]\d+\w*|RPLP\d|MT-\w+|MTRNR\w+)")
"""Ribosomal and mitochondrial genes: expressed in every cell, hence neither markers nor negative markers."""
_PROTEIN = r"[A-Za-z]+[\w/]*\d\w*"
_NEGATIVE = re.compile(
    r"([A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)?)[- ](?:negative|low|dim)\b"
    rf"|\b(?:lack|lacks|lacking|without|no|not express(?:es|ing)?) (?:the |any |expression of )*({_PROTEIN})"
    rf"|\bnegative for (?:the )?(?:lineage )?(?:markers? )?({_PROTEIN}(?:(?:, and |, or |, | and | or ){_PROTEIN})*)"
)
"""Statements that a gene is absent or low: "CD16-negative", "lacks CD3", "negative for CD3 and CD19"."""


@dataclass(frozen=True)
class Markers:
    """Ranked marker genes and the records that list at least one of them."""

    genes: tuple[str, ...] = ()
    """Approved symbols, sorted by the number of records that list them."""
    evidence: tuple[Evidence, ...] = ()


def general_markers(term_id: str, known: Known, most: int) -> Markers:
    """Select at most ``most`` marker genes of a cell type from records without a tissue."""
    pieces = [piece for piece in known.telling_of(term_id, "marker") if not tissue_of(piece)]
    return _chosen(pieces, most, _denied(term_id, known))


def tissue_markers(term_id: str, tissue_id: str, known: Known, most: int) -> tuple[str, Markers]:
    """Select at most ``most`` marker genes of a cell type in a tissue, else in a direct parent of the tissue.

    Returns
    -------
    The id of the tissue for which markers were found ("" without markers), and the markers.
    """
    pieces = known.telling_of(term_id, "marker")
    for tissue in nearby_tissues(tissue_id):
        found = _chosen([p for p in pieces if tissue_of(p) == tissue], most, _denied(term_id, known))
        if found.genes:
            return tissue, found
    return "", Markers()


def absent_markers(term_id: str, known: Known, most: int) -> Markers:
    """Select negative marker genes of a cell type; genes that more tables list as positive markers are excluded."""
    claims = [set(piece.genes) for piece in known.telling_of(term_id, "marker") if not tissue_of(piece)]
    claimed = {gene for genes in claims for gene in genes} - _disputed(term_id, known)
    pieces = [piece for piece in known.telling_of(term_id, "absent_marker") if not tissue_of(piece)]
    return _chosen(pieces, most, claimed)


@lru_cache(10_000)
def broader(term_id: str) -> tuple[str, ...]:
    """Return the `ANCESTORS` nearest broader cell types, nearest first."""
    cells = ontology("CL")
    if cells.current(term_id) is None:
        return ()
    by_steps = sorted(cells.ancestors(term_id), key=lambda above: (cells.distance(term_id, above) or 0, above))
    return tuple(by_steps[:ANCESTORS])


def nearby_tissues(tissue_id: str) -> tuple[str, ...]:
    """Return a tissue and its direct parents."""
    if prefix_of(tissue_id) != "UBERON" or ontology("UBERON").current(tissue_id) is None:
        return (tissue_id,) if tissue_id else ()
    return (tissue_id, *ontology("UBERON").parents(tissue_id))


def tissue_of(piece: Evidence) -> str:
    """Return the tissue that a marker record is restricted to; "" if it is not restricted."""
    return next((term for term in piece.terms if prefix_of(term) == "UBERON"), "")


def _chosen(pieces: Sequence[Evidence], most: int, refused: Iterable[str]) -> Markers:
    """Rank genes by the number of records that list them, then by their mean rank in these records.

    Genes listed in a single record are used only up to `FEW` genes in total: lists are long, and their ends unreliable.
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
    """Return genes that the type's own record describes as absent, and the genes of `_disputed`."""
    own = (piece.text[:_OPENING] for aspect in _OWN_WORDS for piece in known.record(term_id, aspect))
    found = (match for words in own for match in _NEGATIVE.finditer(words))
    negative = {name for match in found for part in match.groups("") for name in re.findall(r"[\w-]+", part)}
    genes = (symbols_of(name) | set(PROTEINS.get(name, "").split()) for name in negative)
    return _disputed(term_id, known).union(*genes)


def _disputed(term_id: str, known: Known) -> frozenset[str]:
    """Return genes that at least as many records list as negative markers as list them as markers."""
    absent = Counter(gene for piece in known.telling_of(term_id, "absent_marker") for gene in set(piece.genes))
    claims = Counter(gene for piece in known.telling_of(term_id, "marker") for gene in set(piece.genes))
    return frozenset(gene for gene, times in absent.items() if times >= claims[gene])
