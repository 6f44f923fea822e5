"""Evidence indexed by aspect, term and gene."""

from collections.abc import Iterable, Sequence

from okrcell.knowledge.evidence import Aspect, Evidence


class Known:
    """Pieces of evidence, looked up by aspect and by term or gene; results keep the order of the sources."""

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._pieces: dict[Aspect, list[Evidence]] = {}
        for piece in dict.fromkeys(evidence):
            self._pieces.setdefault(piece.aspect, []).append(piece)

    def record(self, term_id: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Return the evidence from the term's own record, such as its name or its synonyms."""
        return tuple(piece for piece in self.all(aspect) if piece.record == term_id)

    def telling_of(self, term_id: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Return the evidence of all records that mention a term."""
        return tuple(piece for piece in self.all(aspect) if term_id in piece.terms)

    def of_gene(self, symbol: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Return the evidence of all records that mention a gene, by its approved symbol."""
        return tuple(piece for piece in self.all(aspect) if symbol in piece.genes)

    def definition(self, term_id: str) -> Evidence | None:
        """Return the term's definition in the ontology, None without one."""
        return next(iter(self.record(term_id, "definition")), None)

    def synonyms(self, term_id: str) -> tuple[str, ...]:
        """Return the term's synonyms."""
        return tuple(piece.text for piece in self.record(term_id, "synonym"))

    def all(self, aspect: Aspect) -> Sequence[Evidence]:
        """Return all evidence of an aspect."""
        return self._pieces.get(aspect, ())


def kinship(term_id: str, known: Known) -> tuple[Evidence, ...]:
    """Return the is-a records of a cell type; the second of a record's terms is the broader type."""
    return tuple(piece for piece in known.record(term_id, "passage") if len(piece.terms) == 2)
