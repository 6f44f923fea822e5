"""Marker genes of cell types, sorted by support, from the Cell Marker Accordion, CellMarker 2 and PanglaoDB."""

import csv
import gzip
import io
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any, cast

from okrcell.compression import open_maybe_gzip
from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.ontology.matcher import MIN_MATCH_SCORE, match_label
from okrcell.ontology.ontology import normalize_name, ontology, prefix_of

# Definitions and abstracts may exceed the default field limit of the csv module (131,072 characters).
_MAX_FIELD_SIZE = 10_000_000
MAX_GENES = 30
"""Maximum number of genes in one evidence text."""
_ResourcesByGene = dict[str, set[str]]
LEAKING_RESOURCES = frozenset({"CELLxGENE", "Azimuth", "Celltypist_v2", "MSigDB", "HUSCH", "DRscDB"})
"""Resources of the Cell Marker Accordion derived from atlases that benchmarks also use: a model tested on such an atlas
must not use its markers."""
SEPARATE_RESOURCES = frozenset({"CellMarker2.0", "PanglaoDB"})
"""Resources of the Cell Marker Accordion that okrcell reads as separate tables; here they would be counted twice."""
LEAKING_PAPERS = frozenset(
    {
        "27693023",  # Muraro 2016, pancreas
        "27667667",  # Segerstolpe 2016, pancreas
        "27667665",  # Xin 2016, pancreas
        "27364731",  # Wang 2016, pancreas
        "27667365",  # Baron 2016, pancreas
        "27345837",  # Grün 2016, pancreas
        "27864352",  # Lawlor 2017, pancreas
        "28965763",  # Enge 2017, pancreas
        "28091601",  # Zheng 2017, blood
        "29227470",  # Kang 2018, blood, stimulated by interferon
    }
)
"""PubMed ids of papers on cells that benchmarks use: their markers were derived from the test cells."""
_REMARK = re.compile(r"\s*\([^()]*\)")


@contextmanager
def open_binary(path: Path) -> Generator[IO[bytes]]:
    """Open a binary file for reading; gzip is detected by content and decompressed.

    Raises
    ------
    InputError
        If the file is missing, unreadable or truncated, or decompresses to an impossible size.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} cannot be read: it is no regular file.")
    try:
        with open_maybe_gzip(path) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged or truncated ({error}); fetch it again.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def read_rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Iterate over the rows of a table with a header; separated by commas, or by tabs if .tsv; plain or gzip.

    Parameters
    ----------
    columns
        Required columns.

    Yields
    ------
    Row as a dictionary by column; empty cells are "".

    Raises
    ------
    InputError
        If the file cannot be read as a table, or a required column is missing.
    """
    is_tsv = ".tsv" in path.suffixes[-2:]
    with open_binary(path) as file:
        try:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            csv.field_size_limit(_MAX_FIELD_SIZE)
            table = csv.DictReader(text, delimiter="\t" if is_tsv else ",")
            missing = [column for column in columns if column not in (table.fieldnames or ())]
            if missing:
                present = ", ".join(table.fieldnames or ()) or "nothing"
                raise InputError(f"{path} has no column {', '.join(missing)}; its columns are: {present[:300]}.")
            is_short = False
            for row in table:
                is_short = None in row.values()
                yield {column: value or "" for column, value in cast(dict[str, Any], row).items()}
            if is_short:
                raise InputError(
                    f"{path} is cut short: its last row has fewer columns than the others. Fetch it again."
                )
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path} cannot be read as a table: {error}.") from None


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


def read_accordion(by_cell_type: Path, by_tissue: Path, leaks: bool) -> Iterator[MarkerRow]:
    """Yield the human rows of the Cell Marker Accordion; those of `LEAKING_RESOURCES` resources only if ``leaks``.

    Rows of the resources in `SEPARATE_RESOURCES` are skipped.
    """
    columns = ("species", "CL_ID", "marker", "marker_type")
    for row in read_rows(by_cell_type, *columns, "resources"):
        for resource in row["resources"].split("|"):
            yield from _accordion_row(row, resource, "", leaks)
    for row in read_rows(by_tissue, *columns, "Uberon_ID", "resource"):
        yield from _accordion_row(row, row["resource"], row["Uberon_ID"], leaks)


def _accordion_row(row: dict[str, str], resource: str, tissue: str, leaks: bool) -> Iterator[MarkerRow]:
    cell_type = _current_id("CL", row["CL_ID"])
    is_included = resource not in SEPARATE_RESOURCES and (leaks or resource not in LEAKING_RESOURCES)
    if row["species"] == "Human" and cell_type and is_included:
        yield MarkerRow(
            cell_type, row["marker"], resource, _current_id("UBERON", tissue), row["marker_type"] != "negative"
        )


def read_cellmarker(path: Path, leaks: bool) -> Iterator[MarkerRow]:
    """Yield the human rows of CellMarker 2 on healthy cells; those of `LEAKING_PAPERS` only if ``leaks``.

    Each paper is one resource.
    """
    columns = ("species", "cell_type", "cancer_type", "cell_name", "cellontology_id", "uberonongology_id")
    for row in read_rows(path, *columns, "Symbol", "PMID", "marker_source"):
        is_healthy = row["cell_type"] == "Normal cell" and row["cancer_type"] == "Normal"
        paper = row["PMID"].removesuffix(".0")
        is_included = leaks or paper not in LEAKING_PAPERS
        if row["species"] == "Human" and is_healthy and row["Symbol"] and is_included:
            cell_type = resolve_cell_type(row["cell_name"], row["cellontology_id"])
            if cell_type:
                resource = paper or row["marker_source"]
                yield MarkerRow(cell_type, row["Symbol"], resource, _current_id("UBERON", row["uberonongology_id"]))


@cache
def resolve_cell_type(name: str, table_id: str) -> str:
    """Return the Cell Ontology id on which name and id of a table row agree; "" if they disagree.

    Manually curated tables assign broad ids to narrow names (natural killer T cells have the id of natural killer
    cells). Therefore a name found in the ontology decides; otherwise the id is accepted if a name or synonym of its term
    contains all words of the name.
    """
    cell_ontology = ontology("CL")
    bare_name = _REMARK.sub("", name)
    named_term = cell_ontology.find(name) or cell_ontology.find(bare_name)
    if named_term is not None:
        return named_term.id
    current_id = cell_ontology.current_id(table_id)
    if current_id is None:
        return ""
    term = cell_ontology.term(current_id)
    words = set(normalize_name(bare_name).split())
    return (
        current_id
        if any(words <= set(normalize_name(synonym).split()) for synonym in (term.name, *term.synonyms))
        else ""
    )


def read_panglaodb(path: Path) -> Iterator[MarkerRow]:
    """Yield the human rows of PanglaoDB, weighted so that canonical markers come first, then the most specific ones.

    The genes of a cell type without measured sensitivity keep the order of the table, which is that of its curators.
    """
    columns = ("species", "official gene symbol", "cell type", "organ", "canonical marker")
    table = read_rows(path, *columns, "sensitivity_human", "specificity_human")
    human_rows = [row for row in table if "Hs" in row["species"].split()]
    measured_types = {row["cell type"] for row in human_rows if _to_float(row["sensitivity_human"]) > 0}
    for i, row in enumerate(human_rows):
        cell_type = resolve_in_organ(row["cell type"], row["organ"])
        if cell_type:
            # The column "specificity" is the fraction of cells of other types that express the gene.
            specificity = _to_float(row["sensitivity_human"]) - _to_float(row["specificity_human"])
            tie_breaker = (specificity + 1) / 2 if row["cell type"] in measured_types else 1 - i / len(human_rows)
            weight = _to_float(row["canonical marker"]) + tie_breaker
            yield MarkerRow(cell_type, row["official gene symbol"].strip(), "PanglaoDB", weight=weight)


@cache
def resolve_in_organ(name: str, organ: str) -> str:
    """Return the Cell Ontology id of a cell type name within an organ ("Alpha cells" of the pancreas), or ""."""
    term = ontology("CL").find(name)
    if term is not None:
        return term.id
    # Broader terms are not accepted; a name of two types or with a remark in brackets has no id.
    if "(" in name or " and " in name:
        return ""
    organ_id = next(
        (candidate.term.id for candidate in match_label(organ, "UBERON") if candidate.score >= MIN_MATCH_SCORE), ""
    )
    exact_ids = (
        candidate.term.id
        for candidate in match_label(name, "CL", tissue_id=organ_id)[:1]
        if candidate.method in {"name", "synonym"}
    )
    return next(exact_ids, "")


@cache
def _current_id(prefix: str, term_id: str) -> str:
    return ontology(prefix).current_id(term_id) or "" if term_id else ""


def _to_float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return 0.0
