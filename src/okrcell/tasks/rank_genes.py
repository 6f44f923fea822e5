"""Differential expression of groups of cells (Welch's t-test, scanpy)."""

import re
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression, iter_rows
from okrcell.cells.pca import log_normalize

MAX_CELLS_PER_GROUP = 500
"""Maximum number of cells sampled from each group. Memory does not grow with the file, and large groups do not dominate the
others."""
MIN_CELLS = 3
"""Minimum number of cells of a group for the test."""
MIN_FRACTION, MIN_LOG2_FOLD, MAX_P_VALUE = 0.25, 1.0, 0.01
"""Thresholds of a marker gene: minimum fraction of the group's cells with the gene, minimum log2 fold change, maximum adjusted
p-value."""
QUALITY_GENES = re.compile(r"(RP[LS]\d+\w*|RPLP\d|MT-\w+|MTRNR\w+|MALAT1)")
"""Ribosomal and mitochondrial genes and MALAT1: they reflect cell quality, not cell type, and are never markers."""


@dataclass(frozen=True)
class GroupGene:
    """Differential expression of one gene in one group."""

    symbol: str
    log2_fold: float
    """log2 fold change of the group over the other cells; means of log values are exponentiated first, as in scanpy."""
    inside: float
    """Fraction of the group's cells that express the gene, in [0, 1]."""
    outside: float
    """Fraction of the other cells that express the gene, in [0, 1]."""
    p_adjusted: float
    """p-value of Welch's t-test against the other cells, adjusted by Benjamini-Hochberg."""

    @property
    def is_marker(self) -> bool:
        """Whether the gene is a marker of the group."""
        is_significant = (
            self.log2_fold >= MIN_LOG2_FOLD and self.inside >= MIN_FRACTION and self.p_adjusted <= MAX_P_VALUE
        )
        return is_significant and not QUALITY_GENES.fullmatch(self.symbol)


@dataclass(frozen=True)
class GroupGenes:
    """Measured genes of one group, highest t first."""

    genes: tuple[GroupGene, ...] = field(repr=False)

    def top_markers(self, max_genes: int) -> tuple[GroupGene, ...]:
        """Return the first ``max_genes`` marker genes of the group."""
        return tuple(gene for gene in self.genes if gene.is_marker)[:max_genes]

    def get(self, symbol: str) -> GroupGene | None:
        """Return the result of one gene; None if it was not measured."""
        return self._by_symbol.get(symbol)

    @cached_property
    def _by_symbol(self) -> dict[str, GroupGene]:
        return {gene.symbol: gene for gene in self.genes}


def rank_genes(
    expression: Expression, group: NDArray[np.intp], n_groups: int, *, seed: int = 0
) -> tuple[GroupGenes | None, ...]:
    """Compare each group with all other cells, gene by gene, in log1p of counts per 10,000 (scanpy's rank_genes_groups).

    The t-test is among the best methods to find marker genes (Pullin & McCarthy 2024, Genome Biology 25:56), and fast. If
    the groups are clusters of the same expression, its p-values are too small and only rank the genes.

    Parameters
    ----------
    expression
        Expression of all cells.
    group
        Group index of each cell, -1 for none.
    n_groups
        Number of groups.
    seed
        Random seed of the `MAX_CELLS_PER_GROUP` sampled cells.

    Returns
    -------
    Genes of each group, in descending order of t; None if fewer than `MIN_CELLS` cells with expression are inside or
    outside the group.
    """
    sampled = _sample_cells(group, n_groups, seed)
    log_expr, sampled = _read_log_expr(expression, sampled)
    sampled_group = group[sampled]
    group_sizes = np.bincount(sampled_group, minlength=n_groups)
    testable = [
        int(g) for g in np.flatnonzero((group_sizes >= MIN_CELLS) & (len(sampled_group) - group_sizes >= MIN_CELLS))
    ]
    detected = np.flatnonzero(log_expr.getnnz(axis=0) > 0)
    results: list[GroupGenes | None] = [None] * n_groups
    if testable and len(detected):
        tested = _test_genes(log_expr[:, detected], expression.table.symbol[detected], sampled_group, testable)
        for g in testable:
            results[g] = tested[g]
    return tuple(results)


def _sample_cells(group: NDArray[np.intp], n_groups: int, seed: int) -> NDArray[np.intp]:
    """Sample the cells to compare, in file order."""
    rng = np.random.default_rng(seed)
    sampled = [rng.permutation(np.flatnonzero(group == g))[:MAX_CELLS_PER_GROUP] for g in range(n_groups)]
    return np.sort(np.concatenate([*sampled, np.zeros(0, dtype=np.intp)]))


def _read_log_expr(expression: Expression, rows: NDArray[np.intp]) -> tuple[sparse.csr_matrix, NDArray[np.intp]]:
    """Read log expression of the sampled cells that have expression, with their rows."""
    parts = [log_normalize(block) for block in iter_rows(expression, rows)]
    empty = sparse.csr_matrix((0, len(expression.table)), dtype=np.float32)
    log_expr = sparse.csr_matrix(sparse.vstack([empty, *parts]))
    measured = np.flatnonzero(log_expr.getnnz(axis=1) > 0)
    return sparse.csr_matrix(log_expr[measured]), rows[measured]


def _test_genes(
    log_expr: sparse.csr_matrix, symbols: NDArray[np.str_], group: NDArray[np.intp], testable: list[int]
) -> dict[int, GroupGenes]:
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    scanpy: Any = sc
    names = [str(g) for g in testable]
    obs = pd.DataFrame({"group": pd.Categorical(group.astype(str))}, index=np.arange(len(group)).astype(str))
    adata = AnnData(log_expr, obs=obs, var=pd.DataFrame(index=symbols.astype(str)))
    adata.uns["log1p"] = {"base": None}
    with warnings.catch_warnings():
        # A gene without expression in a group has no variance there; its t is 0 or NaN and it is ranked last.
        warnings.simplefilter("ignore")
        scanpy.tl.rank_genes_groups(adata, "group", groups=names, method="t-test", pts=True)
        return {int(name): _parse_result(scanpy.get.rank_genes_groups_df(adata, name)) for name in names}


def _parse_result(table: Any) -> GroupGenes:
    columns: list[NDArray[np.float64]] = [
        np.nan_to_num(table[name].to_numpy(dtype=np.float64), nan=fill_value, posinf=64.0, neginf=-64.0)
        for name, fill_value in (
            ("logfoldchanges", 0.0),
            ("pct_nz_group", 0.0),
            ("pct_nz_reference", 0.0),
            ("pvals_adj", 1.0),
        )
    ]
    rows = zip(table["names"].astype(str), *(column.tolist() for column in columns), strict=True)
    return GroupGenes(tuple(GroupGene(*row) for row in rows))
