"""Background expression of a sample and standard scores of genes relative to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.model.signature_head import SignatureHead

FLOOR = 0.1
"""Lower bound of the spread of a gene, so that nearly constant genes do not dominate (natural logarithms)."""
HIGHEST = 10.0
"""Upper limit of standard scores, as in Seurat and scanpy."""
PRIOR_CELLS = 50.0
"""Weight of the corpus background, in cells of the sample: a single cell is compared with the corpus."""
PRIOR_SHARE = 0.05
"""Minimum weight of the corpus background, because a sample of one type does not show the background."""


@dataclass(frozen=True)
class Panel:
    """The model's genes that a file measured, and how its rows are mapped onto them."""

    column: NDArray[np.intp]
    """For each gene of the model its row in the gene table."""
    measured: Bool[np.ndarray, " gene"]
    total: float
    """Sum that the measured genes of a cell are scaled to: their mean sum in a cell of the corpus."""

    @classmethod
    def of(cls, head: SignatureHead, column: NDArray[np.intp], measured: Bool[np.ndarray, " gene"]) -> "Panel":
        """Build the panel of the genes of ``head`` that were measured."""
        return cls(column, measured, float(head.linear.numpy()[measured].sum()))

    def logs(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return log1p of scaled expression, float32 (cell, gene of the model); a row without expression stays empty."""
        own = sparse.csr_matrix(block[:, self.column], dtype=np.float32)
        sums = np.asarray(own.sum(axis=1), dtype=np.float64).ravel()
        scale = np.divide(self.total, sums, out=np.zeros_like(sums), where=sums > 0)
        own.data = np.log1p(own.data * np.repeat(scale, np.diff(own.indptr)).astype(np.float32))
        own.eliminate_zeros()
        return own


@dataclass(frozen=True)
class Usual:
    """Mean and spread of each gene in the background: the corpus, combined with the sample if there is one."""

    level: Float[np.ndarray, " gene"]
    spread: Float[np.ndarray, " gene"]
    """At least `FLOOR`."""

    def cut(self, logs: sparse.csr_matrix) -> sparse.csr_matrix:
        """Clip values more than `HIGHEST` spreads above the level."""
        highest = (self.level + HIGHEST * self.spread).astype(np.float32)
        return sparse.csr_matrix(
            (np.minimum(logs.data, highest[logs.indices]), logs.indices, logs.indptr), shape=logs.shape
        )

    def z(self, logs: sparse.csr_matrix) -> Float[np.ndarray, "cell gene"]:
        """Return standard scores as a dense matrix; meant for a few cells."""
        return ((self.cut(logs).toarray() - self.level) / self.spread).astype(np.float32)


def usual(
    head: SignatureHead, blocks: Iterable[sparse.csr_matrix], weights: Iterator[NDArray[np.float64]] | None = None
) -> Usual:
    """Estimate the background of the sample, shrunk towards that of the corpus (`PRIOR_CELLS`, `PRIOR_SHARE`).

    Parameters
    ----------
    blocks
        Log expression of the sample's cells, (cell, gene of the model), block by block; empty rows do not count.
    weights
        For each block, the weights of its cells in the level; equal by default. The spread always weights all cells
        equally.
    """
    genes = len(head.level)
    total, weighted, squares = np.zeros(genes), np.zeros(genes), np.zeros(genes)
    cells, weight_sum = 0, 0.0
    for logs in blocks:
        some = np.diff(logs.indptr) > 0
        weight = some.astype(np.float64) if weights is None else np.where(some, next(weights), 0.0)
        total += np.asarray(logs.sum(axis=0)).ravel()
        weighted += np.asarray(logs.T @ weight).ravel()
        squares += np.asarray(logs.multiply(logs).sum(axis=0)).ravel()
        cells, weight_sum = cells + int(some.sum()), weight_sum + float(weight.sum())
    corpus, within = head.level.numpy().astype(np.float64), head.spread.numpy().astype(np.float64)
    if cells == 0 or weight_sum <= 0:
        return Usual(corpus, np.sqrt(within**2 + FLOOR**2))
    share = (PRIOR_CELLS + PRIOR_SHARE * cells) / (PRIOR_CELLS + cells)
    variance = np.maximum(squares / cells - (total / cells) ** 2, 0)
    level = (1 - share) * weighted / weight_sum + share * corpus
    return Usual(level, np.sqrt((1 - share) * variance + share * within**2 + FLOOR**2))
