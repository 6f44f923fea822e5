"""Which record of which marker table says what a gene was heard for."""

from collections.abc import Sequence

from okrcell.knowledge.evidence import Evidence
from okrcell.tasks.explaining.speakers import CELLS, Speaker
from okrcell.texts.gather import Inquiry
from okrcell.texts.known import Known

MOST_RECORDS = 3


def witnesses(
    symbol: str, speaker: Speaker, answer_terms: Sequence[str], rival_terms: Sequence[str], inquiry: Inquiry
) -> tuple[Evidence, ...]:
    """Look up who says that the gene marks the type it was heard for, or that the type lacks it; at most three records.

    Parameters
    ----------
    answer_terms, rival_terms
        Cell Ontology ids that the signatures were read from, the nearest first.

    Returns
    -------
    Empty where no source that is at hand quotes the gene, or where the model has it from cells alone.
    """
    if speaker.source == CELLS:
        return ()
    aspect = "marker" if speaker.present else "absent_marker"
    for term in answer_terms if speaker.of_answer else rival_terms:
        found = Known(inquiry.about(term)).of_gene(symbol, aspect)
        # A table quotes a gene for a type as such first, then tissue by tissue: one record of each table is enough.
        by_source = {piece.source: piece for piece in reversed(found)}
        if by_source:
            ordered = [piece for piece in found if by_source[piece.source] is piece]
            return tuple(ordered[:MOST_RECORDS])
    return ()
