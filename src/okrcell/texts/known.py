"""Evidence indexed by aspect, term and gene."""

from collections.abc import Iterable, Sequence

from okrcell.evidence import Aspect, Evidence


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
