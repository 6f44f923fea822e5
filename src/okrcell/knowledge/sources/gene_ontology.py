"""Gene Ontology terms and annotations of human genes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

from okrcell.knowledge.definitions import remove_references
from okrcell.evidence import Evidence
from okrcell.ontology.ontology import prefix_of
from okrcell.knowledge.downloads import LocalFile
from okrcell.knowledge.sources.tables import read_rows

MAX_GENES = 30
"""Maximum number of genes listed for a term."""


class GeneOntologySource:
    """Functions, processes and cellular components of human genes (a `KnowledgeSource`)."""

    name = "gene_ontology"

    def __init__(self, terms: LocalFile, annotations: LocalFile) -> None:
        self._terms_file = terms
        self._annotations_file = annotations

    @property
    def snapshot(self) -> str:
        """Releases and sha256 of the two files."""
        return f"{self._terms_file.version}; {self._annotations_file.version}"

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        """Return the annotations of a gene, or the definition of a GO term.

        The annotations are sorted by the number of genes of the term: specific terms first, "protein binding" last.
        """
        if prefix_of(term_id):
            return ()
        if term_id in self._terms:
            return (self._definition_evidence(term_id),)
        return tuple(self._annotation_evidence(term_id, term) for term in self._terms_of.get(term_id, ()))

    def passages(self) -> Iterator[Evidence]:
        """Iterate over the definitions of all terms, each preceded by the name of its term."""
        return map(self._definition_evidence, self._terms)

    def _annotation_evidence(self, gene: str, term: str) -> Evidence:
        name, _ = self._terms[term]
        file = self._annotations_file
        text, record = f"{gene} is annotated with: {name}.", f"{term} {gene}"
        citation = ("Gene Ontology", record, file.version, file.entry.licence)
        return Evidence(text, *citation, "function", (term,), (gene,))

    def _definition_evidence(self, term: str) -> Evidence:
        name, definition = self._terms[term]
        file = self._terms_file
        citation = ("Gene Ontology", term, file.version, file.entry.licence)
        genes = sorted(self._genes_of.get(term, ()), key=lambda gene: (len(self._terms_of[gene]), gene))
        return Evidence(f"{name}: {definition}", *citation, "function", (term,), tuple(genes[:MAX_GENES]))

    @cached_property
    def _terms(self) -> dict[str, tuple[str, str]]:
        columns = ("go_id", "name", "definition")
        table = read_rows(self._terms_file.path, *columns)
        return {row["go_id"]: (row["name"], remove_references(row["definition"])) for row in table}

    @cached_property
    def _genes_of(self) -> dict[str, set[str]]:
        genes: defaultdict[str, set[str]] = defaultdict(set)
        for row in read_rows(self._annotations_file.path, "go_id", "symbol"):
            if row["symbol"] and row["go_id"] in self._terms:
                genes[row["go_id"]].add(row["symbol"])
        return dict(genes)

    @cached_property
    def _terms_of(self) -> dict[str, tuple[str, ...]]:
        terms: defaultdict[str, list[str]] = defaultdict(list)
        for term in sorted(self._genes_of, key=lambda term: (len(self._genes_of[term]), term)):
            for gene in self._genes_of[term]:
                terms[gene].append(term)
        return {gene: tuple(gene_terms) for gene, gene_terms in terms.items()}
