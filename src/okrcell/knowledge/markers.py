"""Marker genes and absent genes of cell types, sorted by support."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from okrcell.evidence import Evidence
from okrcell.ontology.ontology import ontology, prefix_of

MAX_GENES = 30
"""Maximum number of genes in one evidence text."""


@dataclass(frozen=True)
class MarkerRow:
    """Row of a marker table."""

    cell_type: str
    """Current Cell Ontology id."""
    gene: str
    """Approved symbol."""
    resource: str
    """Resource or paper of the statement. Support is the number of distinct ones."""
    tissue: str = ""
    """Uberon id; empty if the statement holds for the cell type in general."""
    present: bool = True
    """False if the cell type lacks the gene."""
    weight: float = 0.0
    """Tie-breaker of genes with equal support: larger comes first."""


_ResourcesByGene = dict[str, set[str]]


@dataclass(frozen=True)
class MarkerTable:
    """Genes of cell types, sorted by support."""

    genes: dict[tuple[str, str, bool], tuple[str, ...]]
    """By (Cell Ontology id, Uberon id or "", present): genes, best supported first."""

    @cached_property
    def tissues(self) -> dict[str, list[tuple[str, bool]]]:
        """By Cell Ontology id: (tissue, present); without tissue first, then by tissue; markers before absent genes."""
        tissues: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
        for cell_type, tissue, present in sorted(self.genes, key=lambda key: (key[0], key[1], not key[2])):
            tissues[cell_type].append((tissue, present))
        return dict(tissues)


class MarkerSource:
    """Marker genes of cell types, in general and by tissue (a `KnowledgeSource`)."""

    def __init__(
        self, name: str, source: str, snapshot: str, licence: str, read_rows: Callable[[], Iterable[MarkerRow]]
    ) -> None:
        self.name = name
        self.snapshot = snapshot
        self._citation = (source, snapshot, licence)
        self._read_rows = read_rows

    def evidence_for(self, term_id: str) -> Sequence[Evidence]:
        """Return the marker genes of a cell type: in general, then by tissue; empty for any other term."""
        if prefix_of(term_id) != "CL":
            return ()
        cell_type = ontology("CL").current_id(term_id)
        if cell_type is None:
            return ()
        return tuple(self._evidence(cell_type, *tissue_key) for tissue_key in self._table.tissues.get(cell_type, ()))

    def passages(self) -> Iterator[Evidence]:
        """Iterate over the marker genes of all cell types."""
        for cell_type, tissue_keys in self._table.tissues.items():
            for tissue_key in tissue_keys:
                yield self._evidence(cell_type, *tissue_key)

    def _evidence(self, cell_type: str, tissue: str, present: bool) -> Evidence:
        genes = self._table.genes[cell_type, tissue, present][:MAX_GENES]
        in_tissue = f" in {ontology('UBERON').term(tissue).name}" if tissue else ""
        subject = f"{ontology('CL').term(cell_type).name}{in_tissue}"
        text = f"Marker genes of {subject}: " if present else f"Negative marker genes of {subject} (absent or low): "
        terms = (cell_type, tissue) if tissue else (cell_type,)
        source, snapshot, licence = self._citation
        aspect = "marker" if present else "absent_marker"
        return Evidence(
            f"{text}{', '.join(genes)}.", source, " in ".join(terms), snapshot, licence, aspect, terms, genes
        )

    @cached_property
    def _table(self) -> MarkerTable:
        return sort_by_support(self._read_rows())


def sort_by_support(rows: Iterable[MarkerRow]) -> MarkerTable:
    """Sort the genes of each cell type, in general and by tissue.

    Genes are sorted by the number of resources for the tissue, then by the number of resources for any tissue, then by
    weight. Remaining ties put the marker of the fewest cell types first (it is the most specific), among absent genes
    the marker of the most cell types, then the alphabetically first. A gene is kept as a marker only if more resources
    list it as a marker than as absent, and conversely; an absent gene needs at least two resources.

    A statement for one tissue may hold there only. It applies to the cell type in general if it has at least two
    resources, two tissues, or a resource that states no tissue.
    """
    resources: defaultdict[tuple[str, str, bool], defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    weights: defaultdict[tuple[str, str], float] = defaultdict(float)
    types_by_gene: defaultdict[str, set[str]] = defaultdict(set)
    tissues: defaultdict[tuple[str, str, bool], set[str]] = defaultdict(set)
    for row in rows:
        for tissue in {"", row.tissue}:
            resources[row.cell_type, tissue, row.present][row.gene].add(row.resource)
        tissues[row.cell_type, row.gene, row.present].add(row.tissue)
        weights[row.cell_type, row.gene] = max(weights[row.cell_type, row.gene], row.weight)
        if row.present:
            types_by_gene[row.gene].add(row.cell_type)
    genes: dict[tuple[str, str, bool], tuple[str, ...]] = {}
    for (cell_type, tissue, present), support in resources.items():
        anywhere = resources[cell_type, "", present]
        opposed = resources.get((cell_type, "", not present), {})
        # Tables call a gene absent if it is low relative to others, so one resource is not enough.
        min_opposed = 0 if present else 1
        supported = [gene for gene in support if len(anywhere[gene]) > max(min_opposed, len(opposed.get(gene, ())))]
        if not tissue:
            gene_tissues = {gene: tissues[cell_type, gene, present] for gene in supported}
            supported = [
                gene
                for gene in supported
                if "" in gene_tissues[gene] or len(gene_tissues[gene]) > 1 or len(anywhere[gene]) > 1
            ]

        def rank(
            gene: str,
            cell_type: str = cell_type,
            present: bool = present,
            in_tissue: _ResourcesByGene = support,
            anywhere: _ResourcesByGene = anywhere,
        ) -> tuple[int, int, float, int, str]:
            specificity = len(types_by_gene[gene]) if present else -len(types_by_gene[gene])
            return (-len(in_tissue[gene]), -len(anywhere[gene]), -weights[cell_type, gene], specificity, gene)

        if supported:
            genes[cell_type, tissue, present] = tuple(sorted(supported, key=rank))
    return MarkerTable(genes)
