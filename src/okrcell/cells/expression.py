"""Expression on the gene axis of the gene table, in blocks of rows."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.counts import MatrixRows, find_counts
from okrcell.cells.genes import GeneResolution, GeneTable
from okrcell.errors import InputError

logger = logging.getLogger(__name__)

ID_COLUMNS = ("ensembl_id", "gene_ids", "gene_id", "ensembl", "ensembl_ids", "feature_id")
SYMBOL_COLUMNS = ("gene_symbol", "feature_name", "gene_symbols", "gene_name", "gene_names", "symbol")
LIKELY_CAUSES = (
    (r"ENS(MUS)?T\d{6,}", "they are transcript ids: sum the transcripts of each gene first"),
    (r"ENS[A-Z]{3,4}G\d{6,}", "they are Ensembl ids of another species: map them to human orthologs first"),
    (r"(FBgn|WBGene|AT\dG|Y[A-P][LR]\d)\d*", "they are genes of another species (fly, worm, plant or yeast)"),
    (
        r"\d+(\.0)?",
        "they are numbers (Entrez ids, or row numbers that replaced the names): put symbols or Ensembl ids in var_names",
    ),
    (r"(ILMN_\d+|.*_at|A_\d+_P\d+)", "they are array probes: map them to gene symbols first"),
    (r"[NX][MR]_\d+.*", "they are RefSeq transcripts: map them to gene symbols first"),
    (r"(chr)?[\dXY]{1,2}[:\-_]\d+[\-_]\d+", "they are regions of the genome (peaks), not genes"),
    (r"[ACGT]{10,}.*", "they are cell barcodes: transpose the table (adata.T) so that cells are rows"),
)


@dataclass(frozen=True)
class Expression:
    """Expression on the gene axis of a `GeneTable`, read in blocks of rows in the order of the file."""

    n_cells: int
    kind: Literal["counts", "log1p", "linear"]
    """Kind of values in the file; `blocks` are always on the linear scale."""
    source: str
    """Matrix that is read: "X", "raw" or "layers['…']"."""
    findings: tuple[str, ...]
    """Remarks on how the file was read, in sentences, for the provenance record."""
    resolution: GeneResolution
    table: GeneTable = field(repr=False)
    rows: MatrixRows = field(repr=False)
    base: float = float(np.e)
    """Base of the logarithm that is inverted if ``kind`` is log1p."""

    def blocks(self, size: int = 2048) -> Iterator[sparse.csr_matrix]:
        """Iterate over all cells in order, ``size`` at a time.

        Blocks are float32 (cell, gene of the table), on the linear scale, with sorted genes and only positive stored values.
        A cell with NaN or infinite values, or without expression, is an empty row. Genes that resolve to the same row of the
        table are summed. Memory is bounded by one block.

        Raises
        ------
        InputError
            If a row holds negative values, or the file is damaged.
        """
        to_table = gene_projection(self.resolution.row, len(self.table))
        for block in self.rows.blocks(size):
            projected = sparse.csr_matrix(self._to_linear(block) @ to_table)
            projected.eliminate_zeros()
            projected.sort_indices()
            yield projected

    def _to_linear(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        values: Any = block.data
        starts: Any = block.indptr
        if len(values) and np.nanmin(values, initial=0.0) < 0:
            lowest = float(np.nanmin(values))
            raise InputError(f"{self.source} must not be negative, but it holds values such as [{lowest:.3f}].")
        if self.kind == "log1p":
            with np.errstate(over="ignore"):
                values = np.expm1(values * np.float32(np.log(self.base)))
        finite = np.isfinite(values)
        if not finite.all():
            cell = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
            is_invalid = np.zeros(len(starts) - 1, dtype=bool)
            is_invalid[cell[~finite]] = True
            values = np.where(is_invalid[cell], np.float32(0), values)
        return sparse.csr_matrix((values, block.indices, starts), shape=block.shape)


def read_expression(
    adata: AnnData,
    *,
    table: GeneTable | None = None,
    layer: str | None = None,
    orthologs: bool = False,
    minimum_coverage: float = 0.05,
) -> Expression:
    """Locate the counts and resolve the genes of a file; only a sample of rows is read.

    Parameters
    ----------
    adata
        Cells; matrices may be on disk.
    table
        Gene table that defines the gene axis; by default the bundled one.
    layer
        Matrix to read: the name of a layer, "X" or "raw". By default the one closest to raw counts.
    orthologs
        Accept mouse genes and map them to their one-to-one human orthologs.
    minimum_coverage
        Minimum fraction of the file's gene names that must be resolved, in [0, 1].

    Raises
    ------
    InputError
        If there are only z-scores, if the genes are mouse genes and ``orthologs`` is False, or if too few gene names are
        resolved.
    """
    table = GeneTable.bundled() if table is None else table
    matrix = find_counts(adata, layer)
    resolution, n_ignored = resolve_genes(matrix.var, table, orthologs=orthologs)
    if resolution.species == "mouse" and not orthologs:
        raise InputError(
            f"The genes are of mouse (such as {', '.join(map(str, matrix.var.index[:3]))}), but human genes are needed. "
            "To map them to their one-to-one human orthologs, pass orthologs=True (on the command line: --orthologs)."
        )
    if not (resolution.row >= 0).any() or resolution.coverage < minimum_coverage:
        raise InputError(_low_coverage_message(resolution, matrix.var, adata))
    kind = "counts" if matrix.inspection.kind in ("counts", "empty") else matrix.inspection.kind
    assert kind != "scaled"  # noqa: S101 - find_counts rejects z-scores
    findings = (*matrix.findings, *_gene_findings(resolution, n_ignored))
    logger.info("Reading %s (%s) of %d cells: %s", matrix.source, kind, adata.n_obs, "; ".join(findings))
    return Expression(
        n_cells=adata.n_obs,
        kind=kind,
        source=matrix.source,
        findings=findings,
        resolution=resolution,
        table=table,
        rows=matrix.rows,
        base=matrix.inspection.base,
    )


def resolve_genes(var: pd.DataFrame, table: GeneTable, *, orthologs: bool = False) -> tuple[GeneResolution, int]:
    """Resolve each gene of ``var`` by its Ensembl id, otherwise by its symbol, from the usual columns and the index.

    Returns the resolution (one entry per row of ``var``) and the number of features that are not genes, such as the
    antibodies of 10x files; these are excluded from the coverage.
    """
    is_gene = np.ones(len(var), dtype=bool)
    if "feature_types" in var:
        is_expression = (var["feature_types"].astype(str) == "Gene Expression").to_numpy()
        is_gene = is_expression if is_expression.any() else is_gene
    index_names = var.index.astype(str)
    columns = [var[name].astype(str) for name in ID_COLUMNS if name in var]
    columns += [var[name].astype(str) for name in SYMBOL_COLUMNS if name in var]
    if len(index_names) and np.mean(index_names.str.contains("ENSG0")) > 0.5:
        columns.insert(0, index_names.to_series())
    else:
        columns.append(index_names.to_series())
    resolution = table.resolve_any([column.to_numpy()[is_gene].tolist() for column in columns], orthologs=orthologs)
    row = np.full(len(var), -1, dtype=np.int32)
    row[is_gene] = resolution.row
    return replace(resolution, row=row), int((~is_gene).sum())


def gene_projection(row: NDArray[np.int32], n_genes: int) -> sparse.csr_matrix:
    """0/1 matrix (file gene, table gene) that maps expression onto the gene table and sums duplicates."""
    resolved = np.flatnonzero(row >= 0)
    ones = np.ones(len(resolved), dtype=np.float32)
    return sparse.csr_matrix((ones, (resolved, row[resolved])), shape=(len(row), n_genes))


def _gene_findings(resolution: GeneResolution, n_ignored: int) -> list[str]:
    match_counts = resolution.match_counts
    sentences = [f"{resolution.coverage:.1%} of {sum(match_counts.values()):,} gene names were resolved"]
    if resolution.duplicated:
        sentences.append(f"{resolution.duplicated:,} duplicated genes were summed")
    n_former = match_counts.get("previous", 0) + match_counts.get("alias", 0)
    if n_former:
        sentences.append(f"{n_former:,} genes were resolved by a previous symbol or an alias")
    if match_counts.get("mouse_ortholog"):
        sentences.append(
            f"{match_counts['mouse_ortholog']:,} mouse genes were mapped to their one-to-one human orthologs"
        )
    if n_ignored:
        sentences.append(f"{n_ignored:,} features that are not genes (feature_types) were ignored")
    return sentences


def _low_coverage_message(resolution: GeneResolution, var: pd.DataFrame, adata: AnnData) -> str:
    names = [str(name) for name in var.index]
    examples = ", ".join(resolution.unknown[:3] or names[:3])
    message = f"Only {resolution.coverage:.1%} of {len(names):,} gene names are known human genes; seen: {examples}."
    for pattern, cause in LIKELY_CAUSES:
        if np.mean([re.fullmatch(pattern, name) is not None for name in names]) > 0.5:
            return f"{message} It seems that {cause}."
    obs_resolution = GeneTable.bundled().resolve([str(name) for name in adata.obs_names[:2000]])
    if obs_resolution.coverage > 0.5:
        return f"{message} The row names are genes: transpose the table (adata.T) so that cells are rows."
    return f"{message} Put gene symbols or Ensembl ids in var_names, or in var['gene_symbol'] or var['ensembl_id']."


def iter_rows(expression: Expression, rows: NDArray[np.intp]) -> Iterator[sparse.csr_matrix]:
    """Iterate over the cells ``rows`` (ascending), one block of the file at a time; linear (cell, gene of the table).

    A block of the file without selected cells gives a block with zero rows, so that stacking the blocks always has the
    width of the gene table.
    """
    start = 0
    for block in expression.blocks():
        stop = start + len(block.indptr) - 1
        yield sparse.csr_matrix(block[rows[(rows >= start) & (rows < stop)] - start])
        start = stop
