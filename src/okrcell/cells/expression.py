"""Expression on the gene axis of the gene table, in blocks of rows."""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.counts import ExpressionMatrix, MatrixRows, check_values, find_counts
from okrcell.cells.features import MIN_COVERAGE, GeneFeatures, resolve_features
from okrcell.cells.findings import read_findings
from okrcell.cells.genes import GeneResolution, GeneTable
from okrcell.errors import InputError

logger = logging.getLogger(__name__)

LIKELY_CAUSES = (
    (r"ENS(MUS)?T\d{6,}", "they are transcript ids: sum the transcripts of each gene first"),
    (
        r"ENS[A-Z]{3,4}[GP]\d{6,}",
        "they are Ensembl ids of another species, or of proteins: map them to human genes first",
    ),
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
TURNED_MESSAGE = "The row names are genes: transpose the table (adata.T) so that cells are rows."


@dataclass(frozen=True)
class Expression:
    """Expression on the gene axis of a `GeneTable`, read in blocks of rows in the order of the file."""

    n_cells: int
    kind: Literal["counts", "log1p", "linear", "binary"]
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
    noise: float = 0.0
    """Values of up to this size are noise around zero, which smoothing leaves; read as zero."""
    is_other_species: NDArray[np.bool_] | None = field(default=None, repr=False)
    """Cells of another species in a file of several; read as empty rows."""

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of all that is read: the values, the genes that they belong to, and the kind of values.

        Equal fingerprints give equal `blocks`. The matrix is read once, in blocks.
        """
        lengths, columns, values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        for block in self.rows.blocks(2048):
            lengths.update(np.diff(block.indptr).astype(np.int64).tobytes())
            columns.update(np.ascontiguousarray(block.indices, dtype=np.int32).data)
            values.update(np.ascontiguousarray(block.data, dtype=np.float32).data)
        facts = f"{self.kind} {self.base!r} {self.noise!r} {self.table.version} {self.rows.shape}"
        set_aside = b"" if self.is_other_species is None else self.is_other_species.tobytes()
        genes = self.resolution.row.tobytes()
        parts = (lengths.digest(), columns.digest(), values.digest(), genes, facts.encode(), set_aside)
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def blocks(self, size: int = 2048) -> Iterator[sparse.csr_matrix]:
        """Iterate over all cells in order, ``size`` at a time.

        Blocks are float32 (cell, gene of the table), on the linear scale, with sorted genes and only positive stored values.
        NaN is read as not expressed. A cell of another species, or without expression, is an empty row. Genes that resolve to
        the same row of the table are summed. Memory is bounded by one block.

        Raises
        ------
        InputError
            If a row holds infinite or negative values, or the file is damaged.
        """
        projection = gene_projection(self.resolution.row, len(self.table))
        for index, block in enumerate(self.project(projection, size)):
            if self.is_other_species is not None:
                is_own = ~self.is_other_species[index * size : (index + 1) * size]
                block.data *= np.repeat(is_own, np.diff(block.indptr))
            block.eliminate_zeros()
            block.sort_indices()
            yield block

    def project(self, projection: sparse.csr_matrix, size: int) -> Iterator[sparse.csr_matrix]:
        """Iterate over blocks of linear expression, multiplied with ``projection`` (gene of the file, column)."""
        for block in self.rows.blocks(size):
            yield sparse.csr_matrix(self._to_linear(block) @ projection)

    def _to_linear(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        values: Any = np.where(np.isnan(block.data), np.float32(0), block.data)
        if len(values) and values.min() < -self.noise:
            raise InputError(f"{self.source} must not be negative, but it holds values such as [{values.min():.3f}].")
        if self.noise:
            values = np.where(values > self.noise, values, np.float32(0))
        if self.kind == "log1p":
            with np.errstate(over="ignore"):
                values = np.expm1(values * np.float32(np.log(self.base)))
        if not np.isfinite(values).all():
            raise InputError(
                f"{self.source} must be finite, but it holds infinite values, or too large ones for logarithms."
            )
        return sparse.csr_matrix((values, block.indices, block.indptr), shape=block.shape)


def read_expression(
    adata: AnnData,
    *,
    table: GeneTable | None = None,
    layer: str | None = None,
    orthologs: bool = True,
    minimum_coverage: float = 0.05,
) -> Expression:
    """Locate the counts, resolve the genes of a file and check all values, in bounded memory.

    Parameters
    ----------
    adata
        Cells; matrices may be on disk.
    table
        Gene table that defines the gene axis; by default the bundled one.
    layer
        Matrix to read: the name of a layer, "X" or "raw". By default the one that tells most about the counts of most genes.
    orthologs
        Map mouse genes to their one-to-one human orthologs; if False, mouse genes are refused.
    minimum_coverage
        Minimum fraction of the file's gene names that must be resolved, in [0, 1].

    Raises
    ------
    InputError
        If no matrix holds expression, if values are infinite, if no feature is a gene, if the genes are of another species (or
        of mouse and ``orthologs`` is False), or if too few gene names are resolved.
    """
    table = GeneTable.bundled() if table is None else table
    matrix, features = _choose_matrix(adata, layer, table, orthologs=orthologs)
    _check_genes(features, matrix.var, adata, minimum_coverage, orthologs=orthologs)
    values = check_values(matrix)
    kind = "counts" if matrix.inspection.kind == "empty" else matrix.inspection.kind
    assert kind in ("counts", "log1p", "linear", "binary")  # noqa: S101 - find_counts refuses the other kinds
    findings = (*_species_findings(features), *read_findings(adata), *matrix.findings, *values.findings)
    expression = Expression(
        n_cells=adata.n_obs,
        kind=kind,
        source=matrix.source,
        findings=(*findings, *_gene_findings(features)),
        resolution=features.resolution,
        table=table,
        rows=matrix.rows,
        base=matrix.inspection.base,
        noise=values.noise,
    )
    expression = _set_aside_other_species(expression, features)
    logger.info("Reading %s (%s) of %d cells: %s", matrix.source, kind, adata.n_obs, "; ".join(expression.findings))
    return expression


def _choose_matrix(
    adata: AnnData, layer: str | None, table: GeneTable, *, orthologs: bool
) -> tuple[ExpressionMatrix, GeneFeatures]:
    """Choose the matrix to read and resolve its genes; the genes of each table of names are resolved once."""
    resolved: dict[int, tuple[pd.DataFrame, GeneFeatures]] = {}

    def resolve(var: pd.DataFrame) -> GeneFeatures:
        if id(var) not in resolved:
            resolved[id(var)] = var, _resolve_with_names_of_x(var, adata, table, orthologs=orthologs)
        return resolved[id(var)][1]

    try:
        matrix = find_counts(adata, layer, lambda var: int((resolve(var).resolution.row >= 0).sum()))
    except InputError as error:
        if _is_turned(adata):
            raise InputError(f"{TURNED_MESSAGE} ({error})") from None
        raise
    return matrix, resolve(matrix.var)


def _resolve_with_names_of_x(var: pd.DataFrame, adata: AnnData, table: GeneTable, *, orthologs: bool) -> GeneFeatures:
    """Resolve the genes of X or ``raw``; the names in ``var`` help if those of ``raw`` are unknown."""
    features = resolve_features(var, table, orthologs=orthologs)
    is_unique = var.index.is_unique and adata.var.index.is_unique
    if features.resolution.coverage >= MIN_COVERAGE or var is adata.var or not is_unique:
        return features
    x_var = cast("pd.DataFrame", adata.var)
    names = x_var[[name for name in x_var if name not in var]].assign(**{"name in X": x_var.index})
    if len(var) == len(names) and not var.index.isin(names.index).any():
        names = names.set_axis(var.index)
    completed = resolve_features(var.join(names), table, orthologs=orthologs)
    return replace(completed, column="X") if completed.resolution.coverage > features.resolution.coverage else features


def _check_genes(
    features: GeneFeatures, var: pd.DataFrame, adata: AnnData, minimum_coverage: float, *, orthologs: bool
) -> None:
    """Refuse features that are not genes, genes of another species, and names that are mostly unknown."""
    examples = ", ".join(map(str, var.index[:3]))
    if sum(features.other_types.values()) == len(var):
        types = ", ".join(f"{name} ({count:,})" for name, count in features.other_types.items())
        raise InputError(
            f"No feature is a gene, but there are: {types}; seen: {examples}. Pass the gene expression of these cells."
        )
    if features.species == "mouse" and not orthologs:
        raise InputError(
            f"The genes are of mouse (such as {examples}), but only human genes are accepted. To map them to their one-to-one "
            "human orthologs, leave out species='human' (--species human)."
        )
    if features.species not in ("human", "mouse", "unknown"):
        raise InputError(
            f"The genes are of {features.species} (such as {examples}), another species: only human genes are known, and mouse "
            "genes with a one-to-one human ortholog. Map them to human orthologs first."
        )
    if not (features.resolution.row >= 0).any() or features.resolution.coverage < minimum_coverage:
        raise InputError(_low_coverage_message(features.resolution, var, adata))


def _set_aside_other_species(expression: Expression, features: GeneFeatures) -> Expression:
    """Mark the cells whose molecules are mostly of another species, in a file of several, and count them."""
    if features.labels is None:
        return expression
    groups = [features.labels == "human", ~np.isin(features.labels, ("", "human"))]
    projection = sparse.csr_matrix(np.stack(groups, axis=1).astype(np.float32))
    totals = np.concatenate([block.toarray() for block in expression.project(projection, 2048)])
    is_other = totals[:, 1] > totals[:, 0]
    names = Counter(features.labels[groups[1]].tolist())
    genes = " and ".join(f"{count / len(groups[1]):.1%} ({count:,}) are of {name}" for name, count in names.items())
    finding = (
        f"of the genes, {genes}: they were left out, and {is_other.sum():,} of {len(is_other):,} cells, whose molecules are "
        f"mostly of {' or '.join(names)}, were read as empty (status unknown)"
    )
    return replace(expression, is_other_species=is_other, findings=(finding, *expression.findings))


def gene_projection(row: NDArray[np.int32], n_genes: int) -> sparse.csr_matrix:
    """0/1 matrix (file gene, table gene) that maps expression onto the gene table and sums duplicates."""
    resolved = np.flatnonzero(row >= 0)
    ones = np.ones(len(resolved), dtype=np.float32)
    return sparse.csr_matrix((ones, (resolved, row[resolved])), shape=(len(row), n_genes))


def _species_findings(features: GeneFeatures) -> list[str]:
    if features.species != "mouse":
        return []
    n_mapped = features.resolution.match_counts.get("mouse_ortholog", 0)
    return [
        f"MOUSE: the genes are of mouse; {n_mapped:,} were mapped to their one-to-one human orthologs, and the model knows "
        "human cells only (species='human' or --species human refuses mouse)"
    ]


def _gene_findings(features: GeneFeatures) -> list[str]:
    resolution, match_counts = features.resolution, features.resolution.match_counts
    sentences = [f"{resolution.coverage:.1%} of {sum(match_counts.values()):,} gene names were resolved"]
    if resolution.duplicated:
        sentences.append(f"{resolution.duplicated:,} duplicated genes were summed")
    n_former = match_counts.get("previous", 0) + match_counts.get("alias", 0)
    if n_former:
        sentences.append(f"{n_former:,} genes were resolved by a previous symbol or an alias")
    if features.column == "X":
        sentences.append("raw has too few known gene names, so those of X were used")
    elif features.column:
        sentences.append(f"gene names were read from var['{features.column}']")
    if n_ignored := sum(features.other_types.values()):
        types = ", ".join(features.other_types)
        sentences.append(f"{n_ignored:,} features that are not genes ({types}) were ignored")
    return sentences


def _low_coverage_message(resolution: GeneResolution, var: pd.DataFrame, adata: AnnData) -> str:
    names = [str(name) for name in var.index]
    examples = ", ".join(resolution.unknown[:3] or names[:3])
    message = f"Only {resolution.coverage:.1%} of {len(names):,} gene names are known human genes; seen: {examples}."
    for pattern, cause in LIKELY_CAUSES:
        if np.mean([re.fullmatch(pattern, name) is not None for name in names]) > 0.5:
            return f"{message} It seems that {cause}."
    if _is_turned(adata):
        return f"{message} {TURNED_MESSAGE}"
    return f"{message} Put gene symbols or Ensembl ids in var_names, or in var['gene_symbol'] or var['ensembl_id']."


def _is_turned(adata: AnnData) -> bool:
    return GeneTable.bundled().resolve([str(name) for name in adata.obs_names[:2000]]).coverage > 0.5


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
