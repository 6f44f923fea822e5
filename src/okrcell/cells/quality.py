"""Per-cell QC metrics: counts, genes, mitochondrial fraction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from okrcell.cells.expression import Expression

MITOCHONDRIAL = "MT-"


@dataclass(frozen=True)
class Quality:
    """QC metrics, one value per cell, in the order of the file."""

    n_counts: NDArray[np.float32]
    """Sum of expression over the resolved genes; number of molecules if the file holds counts."""
    n_genes: NDArray[np.int32]
    """Number of expressed genes."""
    mitochondrial: NDArray[np.float32]
    """Fraction of expression from mitochondrial genes, in [0, 1]; NaN for an empty cell."""

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Bool (cell,): cells without usable expression (all zero, NaN or infinite)."""
        return self.n_genes == 0

    def __str__(self) -> str:
        full = ~self.empty
        if not full.any():
            return f"{len(full):,} cells, all empty"
        text = (
            f"{len(full):,} cells: median {np.median(self.n_counts[full]):,.0f} counts and "
            f"{np.median(self.n_genes[full]):,.0f} genes, {np.median(self.mitochondrial[full]):.1%} mitochondrial"
        )
        return f"{text}; {(~full).sum():,} empty" if not full.all() else text


def quality(expression: Expression) -> Quality:
    """QC metrics of all cells, in one pass."""
    mitochondrial = np.char.startswith(expression.table.symbol, MITOCHONDRIAL).astype(np.float32)
    counts, genes, shares = list[NDArray[np.float32]](), list[NDArray[np.int32]](), list[NDArray[np.float32]]()
    for block in expression.blocks():
        total = np.asarray(block.sum(axis=1), dtype=np.float32).ravel()
        part = np.asarray(block @ mitochondrial, dtype=np.float32)
        counts.append(total)
        genes.append(np.diff(np.asarray(block.indptr)).astype(np.int32))
        shares.append(np.divide(part, total, out=np.full_like(part, np.nan), where=total > 0))
    return Quality(np.concatenate(counts), np.concatenate(genes), np.concatenate(shares))
