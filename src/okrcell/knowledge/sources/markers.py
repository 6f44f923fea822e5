"""Genes that mark a cell type, or that it lacks, the best supported first."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.ontology import ontology, prefix_of

MOST_GENES = 30
"""So many genes are quoted at most; the further ones have less support."""


@dataclass(frozen=True)
class MarkerRow:
    """One statement of a marker table."""

    cell_type: str
    """Cell Ontology id, in use today."""
    gene: str
    """Approved symbol."""
    by: str
    """Who says so: a resource, a paper. Support is the number of different ones."""
    tissue: str = ""
    """Uberon id; empty when it is said of the cell type wherever it is found."""
    present: bool = True
    """False when the cell type is known to lack the gene."""
    weight: float = 0.0
    """Decides between genes of equal support: larger comes first."""


_By = dict[str, set[str]]


@dataclass(frozen=True)
class MarkerTable:
    """Genes of cell types, sorted by support."""

    genes: dict[tuple[str, str, bool], tuple[str, ...]]
    """By (Cell Ontology id, Uberon id or "", present): genes, the best supported first."""

    @cached_property
    def places(self) -> dict[str, list[tuple[str, bool]]]:
        """By Cell Ontology id: (tissue, present), the cell type as such first and its marker genes before the absent."""
        places: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
        for cell_type, tissue, present in sorted(self.genes, key=lambda place: (place[0], place[1], not place[2])):
            places[cell_type].append((tissue, present))
        return dict(places)


class MarkerSource:
    """A marker table that answers for cell types, in general and by tissue (a `KnowledgeSource`)."""

    def __init__(
        self, name: str, source: str, snapshot: str, licence: str, read: Callable[[], Iterable[MarkerRow]]
    ) -> None:
        self.name = name
        self.snapshot = snapshot
        self._address = (source, snapshot, licence)
        self._read = read

    def about(self, term_id: str) -> Sequence[Evidence]:
        """Quote the marker genes of a cell type: in general, then tissue by tissue; empty for all other terms."""
        if prefix_of(term_id) != "CL":
            return ()
        cell_type = ontology("CL").current(term_id)
        if cell_type is None:
            return ()
        return tuple(self._quote(cell_type, *place) for place in self._table.places.get(cell_type, ()))

    def passages(self) -> Iterator[Evidence]:
        """Go through the marker genes of all cell types."""
        for cell_type, places in self._table.places.items():
            for place in places:
                yield self._quote(cell_type, *place)

    def _quote(self, cell_type: str, tissue: str, present: bool) -> Evidence:
        genes = self._table.genes[cell_type, tissue, present][:MOST_GENES]
        place = f" in {ontology('UBERON').term(tissue).name}" if tissue else ""
        of = f"{ontology('CL').term(cell_type).name}{place}"
        text = f"Marker genes of {of}: " if present else f"Negative marker genes of {of} (absent or low): "
        terms = (cell_type, tissue) if tissue else (cell_type,)
        source, snapshot, licence = self._address
        aspect = "marker" if present else "absent_marker"
        return Evidence(
            f"{text}{', '.join(genes)}.", source, " in ".join(terms), snapshot, licence, aspect, terms, genes
        )

    @cached_property
    def _table(self) -> MarkerTable:
        return sorted_by_support(self._read())


def sorted_by_support(statements: Iterable[MarkerRow]) -> MarkerTable:
    """Sort the genes of each cell type, and of each cell type in a tissue.

    First comes the gene that the most speak for there; then, that the most speak for in any tissue; then the one of
    larger weight; then the marker of the fewest cell types (it tells them apart), but the absent gene that marks the
    most others; then the first of the alphabet. A gene that more speak
    for as a marker than as absent is no absent gene, nor the other way round; an absent gene needs two who say so.

    What one table says of a cell type in one tissue may be true there alone. So it is said of the cell type as such only
    when two speak for it or it was found in two tissues, or when it was said without a tissue.
    """
    by: defaultdict[tuple[str, str, bool], defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    weights: defaultdict[tuple[str, str], float] = defaultdict(float)
    marked: defaultdict[str, set[str]] = defaultdict(set)
    tissues: defaultdict[tuple[str, str, bool], set[str]] = defaultdict(set)
    for row in statements:
        for tissue in {"", row.tissue}:
            by[row.cell_type, tissue, row.present][row.gene].add(row.by)
        tissues[row.cell_type, row.gene, row.present].add(row.tissue)
        weights[row.cell_type, row.gene] = max(weights[row.cell_type, row.gene], row.weight)
        if row.present:
            marked[row.gene].add(row.cell_type)
    genes: dict[tuple[str, str, bool], tuple[str, ...]] = {}
    for (cell_type, tissue, present), support in by.items():
        anywhere = by[cell_type, "", present]
        against = by.get((cell_type, "", not present), {})
        # A gene is called absent for being low beside others; one table's word for it is not enough.
        fewest = 0 if present else 1
        believed = [gene for gene in support if len(anywhere[gene]) > max(fewest, len(against.get(gene, ())))]
        if not tissue:
            found = {gene: tissues[cell_type, gene, present] for gene in believed}
            believed = [
                gene for gene in believed if "" in found[gene] or len(found[gene]) > 1 or len(anywhere[gene]) > 1
            ]

        def rank(
            gene: str,
            cell_type: str = cell_type,
            present: bool = present,
            here: _By = support,
            anywhere: _By = anywhere,
        ) -> tuple[int, int, float, int, str]:
            others = len(marked[gene]) if present else -len(marked[gene])
            return (-len(here[gene]), -len(anywhere[gene]), -weights[cell_type, gene], others, gene)

        if believed:
            genes[cell_type, tissue, present] = tuple(sorted(believed, key=rank))
    return MarkerTable(genes)
