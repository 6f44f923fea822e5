"""Marker consensus: positive and negative marker genes of each cell type over all marker tables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from okrcell.errors import InputError
from okrcell.knowledge.snapshots import HeldFile, KnowledgeFiles
from okrcell.knowledge.sources import marker_tables
from okrcell.knowledge.sources.markers import MarkerRow

USUAL_LIST = 20
"""Maximum length of a resource's gene list for a type at which each gene has weight 1."""
ENOUGH = 3
"""Minimum number of positive markers of a type; types with fewer are left out."""
MOST_GENES = 150
"""Maximum number of genes of a type that are used, those of highest support."""

Statement = tuple[MarkerRow, str]
"""Row of a marker table, and the name of the resource or paper that states it."""


@dataclass(frozen=True)
class TypeGenes:
    """Marker genes of Cell Ontology types, with support and resources.

    Each resource (of a table) or paper counts once for a gene of a type. Its weight is 1, or
    ``sqrt(20 / number of genes it lists for the type)`` if it lists more than 20 (ours): an atlas that lists 1,234
    astrocyte genes does not outweigh the twenty that many resources share. Measured on the sets of the pretraining folder
    (docs/results/bundled-model.md).
    """

    types: tuple[str, ...]
    """Cell Ontology ids, ascending."""
    genes: tuple[str, ...]
    """Approved symbols as written in the tables, ascending."""
    support: sparse.csr_matrix
    """float32 (type, gene): summed weight of the resources that list the gene as a marker, minus that of the resources that
    list it as absent. No stored zeros."""
    said_by: Mapping[tuple[str, str], tuple[str, ...]]
    """By (type, gene): names of all resources, for or against, ascending, such as ``ASCT+B`` or ``PMID 28091601``."""
    tables: tuple[str, ...]
    """Tables that were read, each with its version."""

    def on(self, row: NDArray[np.integer], count: int, most: int = MOST_GENES) -> sparse.csr_matrix:
        """Map support to a gene axis, as signed square root.

        The square root gives each further resource less weight than the one before.

        Parameters
        ----------
        row
            Index of each of ``genes`` on the axis, -1 if it is not on the axis (``GeneTable.resolve(genes).row``).
        count
            Length of the axis.
        most
            Maximum number of genes of a type, strongest first; ties keep the genes that come first on the axis.

        Returns
        -------
        float32 (type, gene of the axis), sorted by index, no stored zeros; a type without a gene on the axis is an empty
        row.
        """
        entries = self.support.tocoo()
        placed = row[entries.col] >= 0
        laid = sparse.csr_matrix(
            (entries.data[placed], (entries.row[placed], row[entries.col[placed]])), shape=(len(self.types), count)
        )
        laid.sort_indices()
        for number in range(len(self.types)):
            own = slice(laid.indptr[number], laid.indptr[number + 1])
            weakest_first = np.argsort(-np.abs(laid.data[own]), kind="stable")[most:]
            laid.data[own][weakest_first] = 0
        laid.data = (np.sign(laid.data) * np.sqrt(np.abs(laid.data))).astype(np.float32)
        laid.eliminate_zeros()
        return laid

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Row index of each type."""
        return {name: number for number, name in enumerate(self.types)}


def type_genes(folder: str | Path | KnowledgeFiles | None = None, *, leaks: bool = False) -> TypeGenes:
    """Read all available marker tables: Cell Marker Accordion, CellMarker 2, PanglaoDB.

    Parameters
    ----------
    folder
        Folder or URL of the knowledge files; the user's cache by default (see `KnowledgeFiles`).
    leaks
        Whether rows derived from atlases that benchmarks also use are read.

    Raises
    ------
    InputError
        If the folder does not exist or has none of the tables, or a table cannot be read.
    """
    held = folder if isinstance(folder, KnowledgeFiles) else KnowledgeFiles(folder)
    at_hand = {name: files for name, files in _FILES.items() if held.url or all(map(held.holds, files))}
    if not at_hand:
        raise InputError(held.missing(_FILES["accordion"][0]))
    statements: list[Statement] = []
    versions: list[str] = []
    for name, files in at_hand.items():
        opened = tuple(held.file(file) for file in files)
        statements += _READERS[name](opened, leaks)
        versions.append(f"{name} {', '.join(file.version for file in opened)}")
    return gathered(statements, tuple(versions))


def gathered(statements: Iterable[Statement], tables: tuple[str, ...] = ()) -> TypeGenes:
    """Sum the weighted statements of all resources; types with fewer than three positive markers are left out."""
    lists: defaultdict[tuple[str, str, bool], set[str]] = defaultdict(set)
    for row, who in statements:
        if row.gene:
            lists[row.cell_type, who, row.present].add(row.gene)
    support: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    said_by: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    # Sorted, because floating-point sums depend on the order.
    for (cell_type, who, present), named in sorted(lists.items()):
        weight = min(1.0, (USUAL_LIST / len(named)) ** 0.5)
        for gene in named:
            support[cell_type][gene] += weight if present else -weight
            said_by[cell_type, gene].add(who)
    told = {kind: _told(words) for kind, words in sorted(support.items())}
    told = {kind: words for kind, words in told.items() if sum(weight > 0 for weight in words.values()) >= ENOUGH}
    genes = sorted({gene for words in told.values() for gene in words})
    place = {gene: number for number, gene in enumerate(genes)}
    ordered = [sorted(words.items()) for words in told.values()]
    indptr = np.cumsum([0, *map(len, ordered)])
    columns = np.array([place[gene] for words in ordered for gene, _ in words], dtype=np.int32)
    weights = np.array([weight for words in ordered for _, weight in words], dtype=np.float32)
    return TypeGenes(
        tuple(told),
        tuple(genes),
        sparse.csr_matrix((weights, columns, indptr), shape=(len(told), len(genes))),
        {key: tuple(sorted(who)) for key, who in said_by.items() if key[0] in told},
        tables,
    )


def _told(words: Mapping[str, float]) -> dict[str, float]:
    """Leave out genes whose statements cancel out."""
    return {gene: weight for gene, weight in words.items() if abs(weight) > 1e-6}


def _accordion(files: tuple[HeldFile, ...], leaks: bool) -> Iterator[Statement]:
    for row in marker_tables.accordion_rows(files[0].path, files[1].path, leaks):
        yield row, row.by


def _cellmarker2(files: tuple[HeldFile, ...], leaks: bool) -> Iterator[Statement]:
    for row in marker_tables.cellmarker_rows(files[0].path, leaks):
        yield row, f"PMID {row.by}" if row.by.isdigit() else f"CellMarker 2.0, {row.by}"


def _panglaodb(files: tuple[HeldFile, ...], leaks: bool) -> Iterator[Statement]:
    for row in marker_tables.panglaodb_rows(files[0].path):
        yield row, row.by


_READERS: dict[str, Callable[[tuple[HeldFile, ...], bool], Iterator[Statement]]] = {
    "accordion": _accordion,
    "cellmarker2": _cellmarker2,
    "panglaodb": _panglaodb,
}
_FILES = {
    "accordion": ("cellmarker_accordion_by_cl.csv.gz", "cellmarker_accordion_healthy.csv.gz"),
    "cellmarker2": ("cellmarker2_raw.csv.gz",),
    "panglaodb": ("PanglaoDB_markers_27_Mar_2020.tsv",),
}
"""Knowledge files of each table."""
