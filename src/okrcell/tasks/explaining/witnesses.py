"""Records of marker tables that support a gene contribution."""

from collections.abc import Sequence

from okrcell.evidence import Evidence
from okrcell.tasks.explaining.speakers import SOURCE_CELLS, GeneContribution
from okrcell.texts.gather import EvidenceCache
from okrcell.texts.known import EvidenceIndex

MAX_RECORDS = 3


def supporting_records(
    symbol: str,
    contribution: GeneContribution,
    predicted_terms: Sequence[str],
    runner_up_terms: Sequence[str],
    evidence_cache: EvidenceCache,
) -> tuple[Evidence, ...]:
    """Find up to three records which state that the gene marks the type that it supports, or is absent from it.

    Parameters
    ----------
    symbol
        Gene symbol.
    contribution
        Contribution of the gene.
    predicted_terms
        Cell Ontology ids of the predicted type's signature, largest weight first.
    runner_up_terms
        Cell Ontology ids of the runner-up's signature, largest weight first.
    evidence_cache
        Cached access to the knowledge sources.

    Returns
    -------
    Empty if no available source mentions the gene, or if the weight was learned from cells alone.
    """
    if contribution.source == SOURCE_CELLS:
        return ()
    aspect = "marker" if contribution.expects_presence else "absent_marker"
    for term in predicted_terms if contribution.from_prediction else runner_up_terms:
        records = EvidenceIndex(evidence_cache.evidence_for(term)).mentioning_gene(symbol, aspect)
        # A table lists a gene for the type first, then per tissue; the first record of each table is used.
        by_source = {piece.source: piece for piece in reversed(records)}
        if by_source:
            ordered = [piece for piece in records if by_source[piece.source] is piece]
            return tuple(ordered[:MAX_RECORDS])
    return ()
