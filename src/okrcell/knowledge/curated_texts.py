"""Expert descriptions of cell types, gene summaries and Gene Ontology annotations as knowledge sources."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.knowledge.downloads import LocalFile
from okrcell.knowledge.markers import open_binary, read_rows
from okrcell.ontology.ontology import ontology, prefix_of, remove_references

MAX_GENES = 30
"""Maximum number of genes listed for a term."""
_LICENCES = {"HGNC": "CC0 1.0", "RefSeq": "public domain"}


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


@dataclass(frozen=True)
class _Gene:
    symbol: str
    name: str
    ensembl: str
    entrez: str
    summary: str


class GeneSummarySource:
    """Names and RefSeq summaries of human genes, by approved symbol (a `KnowledgeSource`)."""

    name = "gene_summaries"

    def __init__(self, file: LocalFile) -> None:
        self._file = file

    @property
    def snapshot(self) -> str:
        """Release and sha256 of the file."""
        return self._file.version

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        """Return summary and full name of a gene, such as "CD19 molecule"; empty for an unknown symbol."""
        gene = None if prefix_of(term_id) else self._genes.get(term_id)
        if gene is None:
            return ()
        summary = (self._evidence(gene, gene.summary, "RefSeq"),) if gene.summary else ()
        name = (self._evidence(gene, gene.name, "HGNC"),) if gene.name else ()
        return (*summary, *name)

    def passages(self) -> Iterator[Evidence]:
        """Iterate over the summaries, each preceded by symbol and name of the gene."""
        for gene in self._genes.values():
            if gene.summary:
                yield self._evidence(gene, f"{gene.symbol} ({gene.name}): {gene.summary}", "RefSeq")

    def _evidence(self, gene: _Gene, text: str, source: str) -> Evidence:
        record = f"Entrez:{gene.entrez}" if source == "RefSeq" and gene.entrez else gene.ensembl
        return Evidence(text, source, record, self._file.version, _LICENCES[source], "gene", (), (gene.symbol,))

    @cached_property
    def _genes(self) -> dict[str, _Gene]:
        columns = ("ensembl_id", "Approved symbol", "name", "Entrez", "refseq_summary")
        genes: dict[str, _Gene] = {}
        for row in read_rows(self._file.path, *columns):
            ensembl, symbol, name, entrez, summary = (row[column].strip() for column in columns)
            # A symbol may have several Ensembl ids (haplotypes); an id with a summary is preferred.
            if symbol and (symbol not in genes or (summary and not genes[symbol].summary)):
                genes[symbol] = _Gene(symbol, name, ensembl, entrez, summary)
        return genes


class DescriptionSource:
    """Long descriptions of cell types, in paragraphs (a `KnowledgeSource`)."""

    name = "descriptions"

    def __init__(self, file: LocalFile) -> None:
        self._file = file

    @property
    def snapshot(self) -> str:
        """Release and sha256 of the file."""
        return self._file.version

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        """Return the long description of a cell type; empty if it has none."""
        if prefix_of(term_id) != "CL":
            return ()
        current_id = ontology("CL").current_id(term_id)
        text = self._texts.get(current_id or "")
        return (self._evidence(text, current_id),) if text and current_id else ()

    def passages(self) -> Iterator[Evidence]:
        """Iterate over the paragraphs of all descriptions, each preceded by the name of its cell type."""
        for cell_type, text in self._texts.items():
            name = ontology("CL").term(cell_type).name
            for paragraph in text.split("\n"):
                if paragraph.strip():
                    yield self._evidence(f"{name}: {paragraph.strip()}", cell_type)

    def _evidence(self, text: str, cell_type: str) -> Evidence:
        citation = ("Cell Ontology, extended description", cell_type, self._file.version, self._file.entry.licence)
        return Evidence(text, *citation, "description", (cell_type,))

    @cached_property
    def _texts(self) -> dict[str, str]:
        records = read_ontology_terms(self._file.path)
        try:
            described_records = [record for record in records if record.get("extended_description")]
            by_id = {record["id"]: _clean_paragraphs(record["extended_description"]) for record in described_records}
            by_current_id = {ontology("CL").current_id(term): text for term, text in by_id.items()}
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{self._file.path} is not a JSON list of ontology terms: {error}.") from None
        return {term: text for term, text in by_current_id.items() if term}


def read_ontology_terms(path: Path) -> list[dict[str, Any]]:
    """Read the terms of ``cl_terms.json.gz``: name, definition, synonyms and extended description of each.

    Raises
    ------
    InputError
        If the file cannot be read or is no JSON list.
    """
    with open_binary(path) as file:
        try:
            records = json.load(file)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is not a JSON list of ontology terms: {error}.") from None
    if not isinstance(records, list):
        raise InputError(f"{path} is not a JSON list of ontology terms: it is a {type(records).__name__}.")
    return cast(list[dict[str, Any]], records)


def _clean_paragraphs(text: str) -> str:
    paragraphs = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(paragraph for paragraph in paragraphs if paragraph)
