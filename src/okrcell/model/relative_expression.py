"""Background expression of a sample and standard scores of genes relative to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.model.signatures import SignatureHead

MIN_SPREAD = 0.1
"""Lower bound of the spread of a gene, so that nearly constant genes do not dominate (natural logarithms)."""
MAX_Z_SCORE = 10.0
"""Upper limit of standard scores, as in Seurat and scanpy."""
PRIOR_CELLS = 50.0
"""Weight of the corpus background, in cells of the sample: a single cell is compared with the corpus."""
MIN_PRIOR_WEIGHT = 0.05
"""Minimum weight of the corpus background, because a sample of one type does not show the background."""


@dataclass(frozen=True)
class GenePanel:
    """The model's genes that a file measured, and how its rows are mapped onto them."""

    columns: NDArray[np.intp]
    """For each gene of the model its row in the gene table."""
    measured: Bool[np.ndarray, " gene"]
    target_sum: float
    """Sum that the measured genes of a cell are scaled to: their mean sum in a cell of the corpus."""

    @classmethod
    def from_measured(
        cls, head: SignatureHead, columns: NDArray[np.intp], measured: Bool[np.ndarray, " gene"]
    ) -> "GenePanel":
        """Build the panel of the genes of ``head`` that were measured."""
        return cls(columns, measured, float(head.linear.numpy()[measured].sum()))

    def log_normalize(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return log1p of scaled expression, float32 (cell, gene of the model); a row without expression stays empty."""
        selected = sparse.csr_matrix(block[:, self.columns], dtype=np.float32)
        sums = np.asarray(selected.sum(axis=1), dtype=np.float64).ravel()
        scale = np.divide(self.target_sum, sums, out=np.zeros_like(sums), where=sums > 0)
        selected.data = np.log1p(selected.data * np.repeat(scale, np.diff(selected.indptr)).astype(np.float32))
        selected.eliminate_zeros()
        return selected


@dataclass(frozen=True)
class Background:
    """Mean and spread of each gene in the background: the corpus, combined with the sample if there is one."""

    level: Float[np.ndarray, " gene"]
    spread: Float[np.ndarray, " gene"]
    """At least `MIN_SPREAD`."""

    def clip(self, log_expr: sparse.csr_matrix) -> sparse.csr_matrix:
        """Clip values more than `MAX_Z_SCORE` spreads above the level."""
        upper = (self.level + MAX_Z_SCORE * self.spread).astype(np.float32)
        return sparse.csr_matrix(
            (np.minimum(log_expr.data, upper[log_expr.indices]), log_expr.indices, log_expr.indptr),
            shape=log_expr.shape,
        )

    def z_scores(self, log_expr: sparse.csr_matrix) -> Float[np.ndarray, "cell gene"]:
        """Return standard scores as a dense matrix; meant for a few cells."""
        return ((self.clip(log_expr).toarray() - self.level) / self.spread).astype(np.float32)


def estimate_background(
    head: SignatureHead, blocks: Iterable[sparse.csr_matrix], weights: Iterator[NDArray[np.float64]] | None = None
) -> Background:
    """Estimate the background of the sample, shrunk towards that of the corpus (`PRIOR_CELLS`, `MIN_PRIOR_WEIGHT`).

    Parameters
    ----------
    blocks
        Log expression of the sample's cells, (cell, gene of the model), block by block; empty rows do not count.
    weights
        For each block, the weights of its cells in the level; equal by default. The spread always weights all cells
        equally.
    """
    n_genes = len(head.level)
    total, weighted, squares = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes)
    n_cells, weight_sum = 0, 0.0
    for log_expr in blocks:
        nonempty = np.diff(log_expr.indptr) > 0
        weight = nonempty.astype(np.float64) if weights is None else np.where(nonempty, next(weights), 0.0)
        total += np.asarray(log_expr.sum(axis=0)).ravel()
        weighted += np.asarray(log_expr.T @ weight).ravel()
        squares += np.asarray(log_expr.multiply(log_expr).sum(axis=0)).ravel()
        n_cells, weight_sum = n_cells + int(nonempty.sum()), weight_sum + float(weight.sum())
    corpus_level, corpus_spread = head.level.numpy().astype(np.float64), head.spread.numpy().astype(np.float64)
    if n_cells == 0 or weight_sum <= 0:
        return Background(corpus_level, np.sqrt(corpus_spread**2 + MIN_SPREAD**2))
    prior_weight = (PRIOR_CELLS + MIN_PRIOR_WEIGHT * n_cells) / (PRIOR_CELLS + n_cells)
    variance = np.maximum(squares / n_cells - (total / n_cells) ** 2, 0)
    level = (1 - prior_weight) * weighted / weight_sum + prior_weight * corpus_level
    return Background(level, np.sqrt((1 - prior_weight) * variance + prior_weight * corpus_spread**2 + MIN_SPREAD**2))
