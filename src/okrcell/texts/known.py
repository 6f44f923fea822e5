"""The evidence on a cell, found by what it is about."""

from collections.abc import Iterable, Sequence

from okrcell.knowledge.evidence import Aspect, Evidence


class Known:
    """Pieces of evidence, asked by term or gene and by aspect; an answer keeps the order of the sources."""

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._pieces: dict[Aspect, list[Evidence]] = {}
        for piece in dict.fromkeys(evidence):
            self._pieces.setdefault(piece.aspect, []).append(piece)

    def record(self, term_id: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Give what a term's own record says: its name, its synonyms."""
        return tuple(piece for piece in self.all(aspect) if piece.record == term_id)

    def telling_of(self, term_id: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Give what any record says of a term."""
        return tuple(piece for piece in self.all(aspect) if term_id in piece.terms)

    def of_gene(self, symbol: str, aspect: Aspect) -> tuple[Evidence, ...]:
        """Give what any record says of a gene, by its approved symbol."""
        return tuple(piece for piece in self.all(aspect) if symbol in piece.genes)

    def definition(self, term_id: str) -> Evidence | None:
        """Find the term's definition in the words of the ontology."""
        return next(iter(self.record(term_id, "definition")), None)

    def synonyms(self, term_id: str) -> tuple[str, ...]:
        """Give the term's other names."""
        return tuple(piece.text for piece in self.record(term_id, "synonym"))

    def all(self, aspect: Aspect) -> Sequence[Evidence]:
        """Give every piece of an aspect."""
        return self._pieces.get(aspect, ())


def kinship(term_id: str, known: Known) -> tuple[Evidence, ...]:
    """Find the record that a cell type is a kind of another, whose id is the second of its terms."""
    return tuple(piece for piece in known.record(term_id, "passage") if len(piece.terms) == 2)
