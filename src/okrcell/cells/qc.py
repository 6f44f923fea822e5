"""Per-cell QC metrics: counts, genes, mitochondrial fraction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from okrcell.cells.expression import Expression

MITOCHONDRIAL_PREFIX = "MT-"


@dataclass(frozen=True)
class QCMetrics:
    """QC metrics, one value per cell, in the order of the file."""

    n_counts: NDArray[np.float32]
    """Sum of expression over the resolved genes; number of molecules if the file holds counts."""
    n_genes: NDArray[np.int32]
    """Number of expressed genes."""
    mitochondrial_fraction: NDArray[np.float32]
    """Fraction of expression from mitochondrial genes, in [0, 1]; NaN for an empty cell."""

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Bool (cell,): cells without usable expression (all zero, NaN or infinite)."""
        return self.n_genes == 0

    def __str__(self) -> str:
        nonempty = ~self.empty
        if not nonempty.any():
            return f"{len(nonempty):,} cells, all empty"
        text = (
            f"{len(nonempty):,} cells: median {np.median(self.n_counts[nonempty]):,.0f} counts and "
            f"{np.median(self.n_genes[nonempty]):,.0f} genes, {np.median(self.mitochondrial_fraction[nonempty]):.1%} mitochondrial"
        )
        return f"{text}; {(~nonempty).sum():,} empty" if not nonempty.all() else text


def qc_metrics(expression: Expression) -> QCMetrics:
    """QC metrics of all cells, in one pass."""
    is_mitochondrial = np.char.startswith(expression.table.symbol, MITOCHONDRIAL_PREFIX).astype(np.float32)
    counts, genes, fractions = list[NDArray[np.float32]](), list[NDArray[np.int32]](), list[NDArray[np.float32]]()
    for block in expression.blocks():
        total = np.asarray(block.sum(axis=1), dtype=np.float32).ravel()
        mitochondrial_total = np.asarray(block @ is_mitochondrial, dtype=np.float32)
        counts.append(total)
        genes.append(np.diff(np.asarray(block.indptr)).astype(np.int32))
        fractions.append(
            np.divide(mitochondrial_total, total, out=np.full_like(mitochondrial_total, np.nan), where=total > 0)
        )
    return QCMetrics(np.concatenate(counts), np.concatenate(genes), np.concatenate(fractions))
