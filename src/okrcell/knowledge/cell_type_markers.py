"""Marker consensus: positive and negative marker genes of each cell type over all marker tables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.genes import GeneTable, GeneVocabulary
from okrcell.errors import InputError
from okrcell.evidence import KnowledgeSource
from okrcell.knowledge import markers as marker_tables
from okrcell.knowledge.downloads import KnowledgeFiles, LocalFile
from okrcell.knowledge.marker_licences import resource_licence, source_of_resource
from okrcell.knowledge.markers import MarkerRow
from okrcell.knowledge.registry import SOURCES, open_sources
from okrcell.ontology.ontology import ontology

MAX_FULL_WEIGHT_GENES = 20
"""Maximum length of a resource's gene list for a type at which each gene has weight 1."""
MIN_POSITIVE_MARKERS = 3
"""Minimum number of positive markers of a type; types with fewer are left out."""
MAX_GENES = 150
"""Maximum number of genes of a type that are used, those of highest support."""

MarkerStatement = tuple[MarkerRow, str]
"""Row of a marker table, and the name of the resource or paper that states it."""
TABLE_FILES = {
    "accordion": ("cellmarker_accordion_by_cl.csv.gz", "cellmarker_accordion_healthy.csv.gz"),
    "cellmarker2": ("cellmarker2_raw.csv.gz",),
    "panglaodb": ("PanglaoDB_markers_27_Mar_2020.tsv",),
}
"""Knowledge files of each table."""
GENE_SOURCES = ("gene_summaries", "gene_ontology")
"""Sources of gene names, summaries and functions."""
MAX_CELL_TYPES = 6
"""Maximum number of marked cell types in a text, those of highest support."""
MAX_FUNCTIONS = 3
"""Maximum number of Gene Ontology terms in a text, rarest first."""


@dataclass(frozen=True)
class MarkerConsensus:
    """Marker genes of Cell Ontology types, with support and resources.

    Each resource (of a table) or paper counts once for a gene of a type. Its weight is 1, or
    ``sqrt(20 / number of genes it lists for the type)`` if it lists more than 20 (ours): an atlas that lists 1,234
    astrocyte genes does not outweigh the twenty that many resources share. Measured on the sets of the pretraining folder
    (docs/results/second-model.md).
    """

    types: tuple[str, ...]
    """Cell Ontology ids, ascending."""
    genes: tuple[str, ...]
    """Approved symbols as written in the tables, ascending."""
    support: sparse.csr_matrix
    """float32 (type, gene): summed weight of the resources that list the gene as a marker, minus that of the resources that
    list it as absent. No stored zeros."""
    resources: Mapping[tuple[str, str], tuple[str, ...]]
    """By (type, gene): names of all resources, for or against, ascending, such as ``ASCT+B`` or ``PMID 28091601``."""
    tables: tuple[str, ...]
    """Tables that were read, each with its version."""
    snapshots: Mapping[str, str] = field(default_factory=dict[str, str])
    """Version of the file that each source was read from."""

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Sources of all resources, ascending: papers are grouped under their table."""
        return tuple(sorted({source_of_resource(name) for names in self.resources.values() for name in names}))

    def gene_index(self, vocabulary: GeneVocabulary) -> NDArray[np.intp]:
        """Return the index of each of ``genes`` in a model's vocabulary, -1 if it is not in it."""
        table = GeneTable.bundled()
        row = table.resolve(self.genes).row
        return np.where(row >= 0, vocabulary.tokens(table)[row].astype(np.intp) - 1, -1)

    def source_masks(
        self, types: Sequence[str], gene_index: NDArray[np.integer], weights: sparse.csr_matrix
    ) -> NDArray[np.int32]:
        """Return for each stored weight of a matrix (type, gene) the bit mask of its `sources`; 0 where there is none.

        Parameters
        ----------
        types
            Cell Ontology ids of the rows.
        gene_index
            Index of each of ``genes`` on the axis, -1 if it is not on the axis.
        weights
            Matrix made of `on_gene_axis`.
        """
        row_of, bit_of = ({name: i for i, name in enumerate(names)} for names in (types, self.sources))
        column_of = dict(zip(self.genes, gene_index.tolist(), strict=True))
        masks: defaultdict[tuple[int, int], int] = defaultdict(int)
        for (cell_type, gene), resources in self.resources.items():
            for resource in resources:
                masks[row_of.get(cell_type, -1), column_of.get(gene, -1)] |= 1 << bit_of[source_of_resource(resource)]
        rows = np.repeat(np.arange(len(types)), np.diff(weights.indptr)).tolist()
        return np.array([masks.get(key, 0) for key in zip(rows, weights.indices.tolist(), strict=True)], dtype=np.int32)

    def source_records(self, masks: NDArray[np.int32]) -> list[dict[str, str | int | bool]]:
        """Return name, licence, version and number of weights of each of `sources`, for ``model.json``.

        Parameters
        ----------
        masks
            Result of `source_masks`; a weight with several sources counts for each.
        """
        return [
            {
                "name": name,
                "licence": resource_licence(name).licence,
                "open": resource_licence(name).is_open,
                "snapshot": self.snapshots.get(name, ""),
                "weights": int((masks >> bit & 1).sum()),
            }
            for bit, name in enumerate(self.sources)
        ]

    def on_gene_axis(
        self, gene_index: NDArray[np.integer], n_genes: int, max_genes: int = MAX_GENES
    ) -> sparse.csr_matrix:
        """Map support to a gene axis, as signed square root.

        The square root gives each further resource less weight than the one before.

        Parameters
        ----------
        gene_index
            Index of each of ``genes`` on the axis, -1 if it is not on the axis (``GeneTable.resolve(genes).row``).
        n_genes
            Length of the axis.
        max_genes
            Maximum number of genes of a type, strongest first; ties keep the genes that come first on the axis.

        Returns
        -------
        float32 (type, gene of the axis), sorted by index, no stored zeros; a type without a gene on the axis is an empty
        row.
        """
        entries = self.support.tocoo()
        on_axis = gene_index[entries.col] >= 0
        matrix = sparse.csr_matrix(
            (entries.data[on_axis], (entries.row[on_axis], gene_index[entries.col[on_axis]])),
            shape=(len(self.types), n_genes),
        )
        matrix.sort_indices()
        for i in range(len(self.types)):
            entry_slice = slice(matrix.indptr[i], matrix.indptr[i + 1])
            weakest = np.argsort(-np.abs(matrix.data[entry_slice]), kind="stable")[max_genes:]
            matrix.data[entry_slice][weakest] = 0
        matrix.data = (np.sign(matrix.data) * np.sqrt(np.abs(matrix.data))).astype(np.float32)
        matrix.eliminate_zeros()
        return matrix

    @cached_property
    def type_index(self) -> Mapping[str, int]:
        """Row index of each type."""
        return {cell_type: i for i, cell_type in enumerate(self.types)}


class MarkerStatements(NamedTuple):
    """Statements of marker tables, and where they were read."""

    rows: list[MarkerStatement]
    tables: tuple[str, ...]
    """Tables that were read, each with its version."""
    snapshots: dict[str, str]
    """Version of the file that each source was read from."""

    @property
    def sources(self) -> frozenset[str]:
        """Sources of the statements."""
        return frozenset(self.snapshots)

    def openly_licensed(self) -> "MarkerStatements":
        """Return the statements of openly licensed resources (`okrcell.knowledge.marker_licences`)."""
        rows = [(row, resource) for row, resource in self.rows if resource_licence(resource).is_open]
        snapshots = {name: version for name, version in self.snapshots.items() if resource_licence(name).is_open}
        return MarkerStatements(rows, tuple(f"{name}: {version}" for name, version in snapshots.items()), snapshots)

    def union(self, other: "MarkerStatements") -> "MarkerStatements":
        """Return the statements of both; what both have counts once in `build_marker_consensus`."""
        return MarkerStatements(
            [*self.rows, *other.rows],
            tuple(dict.fromkeys([*self.tables, *other.tables])),
            {**other.snapshots, **self.snapshots},
        )

    def consensus(self) -> MarkerConsensus:
        """Sum the statements of all resources (`build_marker_consensus`)."""
        return replace(build_marker_consensus(self.rows, self.tables), snapshots=self.snapshots)


def read_marker_tables(
    knowledge: str | Path | KnowledgeFiles | None = None, *, leaks: bool = False
) -> MarkerStatements:
    """Read all available marker tables: Cell Marker Accordion, CellMarker 2, PanglaoDB.

    Parameters
    ----------
    knowledge
        Folder or URL of the knowledge files; the user's cache by default (see `KnowledgeFiles`).
    leaks
        Whether rows derived from atlases that benchmarks also use are read.

    Raises
    ------
    InputError
        If the folder does not exist or has none of the tables, or a table cannot be read.
    """
    knowledge_files = knowledge if isinstance(knowledge, KnowledgeFiles) else KnowledgeFiles(knowledge)
    available = available_tables(knowledge_files)
    if not available:
        raise InputError(knowledge_files.missing_message(TABLE_FILES["accordion"][0]))
    statements: list[MarkerStatement] = []
    versions: list[str] = []
    snapshots: dict[str, str] = {}
    for name in available:
        local_files = tuple(knowledge_files.local_file(file) for file in TABLE_FILES[name])
        rows = list(_TABLE_READERS[name](local_files, leaks))
        versions.append(f"{name} {', '.join(file.version for file in local_files)}")
        snapshots |= dict.fromkeys(sorted({source_of_resource(resource) for _, resource in rows}), versions[-1])
        statements += rows
    return MarkerStatements(statements, tuple(versions), snapshots)


def available_tables(knowledge_files: KnowledgeFiles) -> tuple[str, ...]:
    """Names of the marker tables whose files are at the location."""
    return tuple(
        name for name, files in TABLE_FILES.items() if knowledge_files.url or all(map(knowledge_files.has_file, files))
    )


def load_marker_consensus(
    knowledge: str | Path | KnowledgeFiles | None = None, *, leaks: bool = False
) -> MarkerConsensus:
    """Sum the statements of all available marker tables; see `read_marker_tables` for parameters and errors."""
    return read_marker_tables(knowledge, leaks=leaks).consensus()


def build_marker_consensus(statements: Iterable[MarkerStatement], tables: tuple[str, ...] = ()) -> MarkerConsensus:
    """Sum the weighted statements of all resources; types with fewer than three positive markers are left out."""
    gene_lists: defaultdict[tuple[str, str, bool], set[str]] = defaultdict(set)
    for row, resource in statements:
        if row.gene:
            gene_lists[row.cell_type, resource, row.present].add(row.gene)
    support: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    resources: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    # Sorted, because floating-point sums depend on the order.
    for (cell_type, resource, present), listed_genes in sorted(gene_lists.items()):
        weight = min(1.0, (MAX_FULL_WEIGHT_GENES / len(listed_genes)) ** 0.5)
        for gene in listed_genes:
            support[cell_type][gene] += weight if present else -weight
            resources[cell_type, gene].add(resource)
    weights_by_type = {
        cell_type_id: _drop_cancelled(gene_weights) for cell_type_id, gene_weights in sorted(support.items())
    }
    weights_by_type = {
        cell_type_id: gene_weights
        for cell_type_id, gene_weights in weights_by_type.items()
        if sum(weight > 0 for weight in gene_weights.values()) >= MIN_POSITIVE_MARKERS
    }
    genes = sorted({gene for gene_weights in weights_by_type.values() for gene in gene_weights})
    gene_index = {gene: i for i, gene in enumerate(genes)}
    sorted_weights = [sorted(gene_weights.items()) for gene_weights in weights_by_type.values()]
    indptr = np.cumsum([0, *map(len, sorted_weights)])
    columns = np.array(
        [gene_index[gene] for gene_weights in sorted_weights for gene, _ in gene_weights], dtype=np.int32
    )
    weights = np.array([weight for gene_weights in sorted_weights for _, weight in gene_weights], dtype=np.float32)
    return MarkerConsensus(
        tuple(weights_by_type),
        tuple(genes),
        sparse.csr_matrix((weights, columns, indptr), shape=(len(weights_by_type), len(genes))),
        {key: tuple(sorted(resource)) for key, resource in resources.items() if key[0] in weights_by_type},
        tables,
    )


def _drop_cancelled(gene_weights: Mapping[str, float]) -> dict[str, float]:
    """Leave out genes whose statements cancel out."""
    return {gene: weight for gene, weight in gene_weights.items() if abs(weight) > 1e-6}


def _accordion_statements(files: tuple[LocalFile, ...], leaks: bool) -> Iterator[MarkerStatement]:
    for row in marker_tables.read_accordion(files[0].path, files[1].path, leaks):
        yield row, row.resource


def _cellmarker2_statements(files: tuple[LocalFile, ...], leaks: bool) -> Iterator[MarkerStatement]:
    for row in marker_tables.read_cellmarker(files[0].path, leaks):
        yield row, f"PMID {row.resource}" if row.resource.isdigit() else f"CellMarker 2.0, {row.resource}"


def _panglaodb_statements(files: tuple[LocalFile, ...], leaks: bool) -> Iterator[MarkerStatement]:
    for row in marker_tables.read_panglaodb(files[0].path):
        yield row, row.resource


_TABLE_READERS: dict[str, Callable[[tuple[LocalFile, ...], bool], Iterator[MarkerStatement]]] = {
    "accordion": _accordion_statements,
    "cellmarker2": _cellmarker2_statements,
    "panglaodb": _panglaodb_statements,
}


def gene_texts(
    symbols: Iterable[str], knowledge: str | Path | KnowledgeFiles | None = None, markers: MarkerConsensus | None = None
) -> dict[str, str]:
    """Compose a text for each gene; genes without any information are left out.

    Parameters
    ----------
    symbols
        Approved symbols.
    knowledge
        Folder or URL of the knowledge files; the user's cache by default.
    markers
        Marker genes of cell types. If given, a text lists the cell types that the gene marks.

    Returns
    -------
    Text by symbol, in the order of ``symbols``.

    Raises
    ------
    InputError
        If the folder has neither the gene summaries nor the Gene Ontology annotations.
    """
    knowledge_files = knowledge if isinstance(knowledge, KnowledgeFiles) else KnowledgeFiles(knowledge)
    names = [
        name
        for name in GENE_SOURCES
        if knowledge_files.url is not None or all(map(knowledge_files.has_file, SOURCES[name].files))
    ]
    if not names:
        raise InputError(knowledge_files.missing_message(SOURCES[GENE_SOURCES[0]].files[0]))
    sources = open_sources(names, knowledge_files)
    marked_types = {} if markers is None else types_by_gene(markers)
    texts = {symbol: _gene_text(symbol, sources, marked_types.get(symbol, ())) for symbol in symbols}
    return {symbol: text for symbol, text in texts.items() if text}


def types_by_gene(markers: MarkerConsensus) -> Mapping[str, Sequence[str]]:
    """Return for each gene the names of the cell types that it marks, highest support first, at most `MAX_CELL_TYPES`."""
    entries = markers.support.tocoo()
    types: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for row, column, support in zip(entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), strict=True):
        if support > 0:
            types[markers.genes[column]].append((-support, markers.types[row]))
    return {
        gene: [ontology("CL").term(cell_type).name for _, cell_type in sorted(supported_types)[:MAX_CELL_TYPES]]
        for gene, supported_types in types.items()
    }


def _gene_text(symbol: str, sources: Sequence[KnowledgeSource], marked_types: Sequence[str]) -> str:
    evidence = [record for source in sources for record in source.evidence_for(symbol)]
    name = next((record.text for record in evidence if record.source == "HGNC"), "")
    summary = next((record.text for record in evidence if record.source == "RefSeq"), "")
    functions = [record.text.partition(": ")[2].rstrip(".") for record in evidence if record.aspect == "function"]
    parts = (
        f"{symbol}: {name}." if name else "",
        f"Marker of {', '.join(marked_types)}." if marked_types else "",
        f"Functions: {', '.join(functions[:MAX_FUNCTIONS])}." if functions else "",
        summary,
    )
    return " ".join(filter(None, parts))
