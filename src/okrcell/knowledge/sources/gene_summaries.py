"""Full names and RefSeq summaries of human genes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from okrcell.evidence import Evidence
from okrcell.ontology.ontology import prefix_of
from okrcell.knowledge.downloads import LocalFile
from okrcell.knowledge.sources.tables import read_rows

_LICENCES = {"HGNC": "CC0 1.0", "RefSeq": "public domain"}


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
