"""Records of marker tables that support a gene contribution."""

from collections.abc import Sequence

from okrcell.knowledge.evidence import Evidence
from okrcell.tasks.explaining.speakers import CELLS, Speaker
from okrcell.texts.gather import Inquiry
from okrcell.texts.known import Known

MOST_RECORDS = 3


def witnesses(
    symbol: str, speaker: Speaker, answer_terms: Sequence[str], rival_terms: Sequence[str], inquiry: Inquiry
) -> tuple[Evidence, ...]:
    """Find up to three records which state that the gene marks the type that it supports, or is absent from it.

    Parameters
    ----------
    symbol
        Gene symbol.
    speaker
        Contribution of the gene.
    answer_terms
        Cell Ontology ids of the predicted type's signature, largest weight first.
    rival_terms
        Cell Ontology ids of the runner-up's signature, largest weight first.
    inquiry
        Cached access to the knowledge sources.

    Returns
    -------
    Empty if no available source mentions the gene, or if the weight was learned from cells alone.
    """
    if speaker.source == CELLS:
        return ()
    aspect = "marker" if speaker.present else "absent_marker"
    for term in answer_terms if speaker.of_answer else rival_terms:
        found = Known(inquiry.about(term)).of_gene(symbol, aspect)
        # A table lists a gene for the type first, then per tissue; the first record of each table is used.
        by_source = {piece.source: piece for piece in reversed(found)}
        if by_source:
            ordered = [piece for piece in found if by_source[piece.source] is piece]
            return tuple(ordered[:MOST_RECORDS])
    return ()
