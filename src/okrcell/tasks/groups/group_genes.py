"""Differential expression of groups of cells (Welch's t-test, scanpy)."""

import re
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.samples.sample import log_normalised
from okrcell.cells.samples.some_cells import some_cells

CELLS_OF_A_GROUP = 500
"""Maximum number of cells sampled from each group. Memory does not grow with the file, and large groups do not dominate the
others."""
LEAST_CELLS = 3
"""Minimum number of cells of a group for the test."""
RARE, WEAK, DOUBTFUL = 0.25, 1.0, 0.01
"""Thresholds of a marker gene: minimum fraction of the group's cells with the gene, minimum log2 fold change, maximum adjusted
p-value."""
_EVERYWHERE = re.compile(r"(RP[LS]\d+\w*|RPLP\d|MT-\w+|MTRNR\w+|MALAT1)")
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
    p: float
    """p-value of Welch's t-test against the other cells, adjusted by Benjamini-Hochberg."""

    @property
    def marks(self) -> bool:
        """Whether the gene is a marker of the group."""
        clear = self.log2_fold >= WEAK and self.inside >= RARE and self.p <= DOUBTFUL
        return clear and not _EVERYWHERE.fullmatch(self.symbol)


@dataclass(frozen=True)
class GroupGenes:
    """Measured genes of one group, highest t first."""

    genes: tuple[GroupGene, ...] = field(repr=False)

    def marking(self, most: int) -> tuple[GroupGene, ...]:
        """Return the first ``most`` marker genes of the group."""
        return tuple(gene for gene in self.genes if gene.marks)[:most]

    def named(self, symbol: str) -> GroupGene | None:
        """Return the result of one gene; None if it was not measured."""
        return self._by_symbol.get(symbol)

    @cached_property
    def _by_symbol(self) -> dict[str, GroupGene]:
        return {gene.symbol: gene for gene in self.genes}


def group_genes(
    expression: Expression, group: NDArray[np.intp], groups: int, *, seed: int = 0
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
    groups
        Number of groups.
    seed
        Random seed of the `CELLS_OF_A_GROUP` sampled cells.

    Returns
    -------
    Genes of each group, in descending order of t; None if fewer than `LEAST_CELLS` cells with expression are inside or
    outside the group.
    """
    drawn = _drawn(group, groups, seed)
    logs, drawn = _logs(expression, drawn)
    member = group[drawn]
    size = np.bincount(member, minlength=groups)
    able = [int(g) for g in np.flatnonzero((size >= LEAST_CELLS) & (len(member) - size >= LEAST_CELLS))]
    seen = np.flatnonzero(logs.getnnz(axis=0) > 0)
    found: list[GroupGenes | None] = [None] * groups
    if able and len(seen):
        table = _tested(logs[:, seen], expression.table.symbol[seen], member, able)
        for g in able:
            found[g] = table[g]
    return tuple(found)


def _drawn(group: NDArray[np.intp], groups: int, seed: int) -> NDArray[np.intp]:
    """Sample the cells to compare, in file order."""
    rng = np.random.default_rng(seed)
    kept = [rng.permutation(np.flatnonzero(group == g))[:CELLS_OF_A_GROUP] for g in range(groups)]
    return np.sort(np.concatenate([*kept, np.zeros(0, dtype=np.intp)]))


def _logs(expression: Expression, drawn: NDArray[np.intp]) -> tuple[sparse.csr_matrix, NDArray[np.intp]]:
    """Read log expression of the sampled cells that have expression, with their rows."""
    parts = [log_normalised(block) for block in some_cells(expression, drawn)]
    empty = sparse.csr_matrix((0, len(expression.table)), dtype=np.float32)
    logs = sparse.csr_matrix(sparse.vstack([empty, *parts]))
    measured = np.flatnonzero(logs.getnnz(axis=1) > 0)
    return sparse.csr_matrix(logs[measured]), drawn[measured]


def _tested(
    logs: sparse.csr_matrix, symbols: NDArray[np.str_], member: NDArray[np.intp], able: list[int]
) -> dict[int, GroupGenes]:
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    scanpy: Any = sc
    names = [str(g) for g in able]
    obs = pd.DataFrame({"group": pd.Categorical(member.astype(str))}, index=np.arange(len(member)).astype(str))
    cells = AnnData(logs, obs=obs, var=pd.DataFrame(index=symbols.astype(str)))
    cells.uns["log1p"] = {"base": None}
    with warnings.catch_warnings():
        # A gene without expression in a group has no variance there; its t is 0 or NaN and it is ranked last.
        warnings.simplefilter("ignore")
        scanpy.tl.rank_genes_groups(cells, "group", groups=names, method="t-test", pts=True)
        return {int(name): _read(scanpy.get.rank_genes_groups_df(cells, name)) for name in names}


def _read(table: Any) -> GroupGenes:
    columns: list[NDArray[np.float64]] = [
        np.nan_to_num(table[name].to_numpy(dtype=np.float64), nan=missing, posinf=64.0, neginf=-64.0)
        for name, missing in (
            ("logfoldchanges", 0.0),
            ("pct_nz_group", 0.0),
            ("pct_nz_reference", 0.0),
            ("pvals_adj", 1.0),
        )
    ]
    rows = zip(table["names"].astype(str), *(column.tolist() for column in columns), strict=True)
    return GroupGenes(tuple(GroupGene(*row) for row in rows))
