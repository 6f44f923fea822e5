"""Signature scores of cells on the measured genes."""

from dataclasses import dataclass
from typing import Self, cast

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax

from okrcell.model.relative_expression import Background, estimate_background
from okrcell.model.signatures import SignatureHead

MIN_NORM = 0.4
"""Minimum divisor in normalization: a signature of which little was measured stays shorter, because its rest is noise."""
BACKGROUND_ITERATIONS = 2
"""Number of times the background is estimated again, with equal weight for all candidates."""
ASSIGNMENT_SHARPNESS = 8.0
"""Sharpness of the soft assignment of cells to candidates in this estimate, per standard deviation of scores."""
MIN_SPARSE_ROWS, MAX_SPARSE_DENSITY = 50, 0.2
"""With fewer signatures, or a larger fraction of nonzero weights, the dense product is faster."""
PSEUDOCOUNT_FRACTION = 0.02
"""Pseudocount of each candidate, as a fraction of the cells; bounds the weight of rare candidates."""


@dataclass(frozen=True)
class SignatureContrast:
    """Signatures of the candidates on the measured genes, and their mean, which scores subtract."""

    signatures: sparse.csr_matrix
    """(candidate, gene): unit rows; a row of which little was measured is shorter."""
    mean_signature: Float[np.ndarray, " gene"]
    """Mean of the candidates' rows, which separates no two of them. Zero for a single candidate."""

    @classmethod
    def from_signatures(cls, signatures: sparse.csr_matrix, measured: Bool[np.ndarray, " gene"]) -> Self:
        """Restrict signatures to the measured genes and compute the mean over candidates."""
        restricted = restrict_to_panel(signatures, measured)
        several = len(restricted.indptr) > 2
        return cls(restricted, np.asarray(restricted.mean(axis=0)).ravel() if several else np.zeros(len(measured)))

    def scores(
        self, log_expr: sparse.csr_matrix, background: Background, other_signatures: sparse.csr_matrix | None = None
    ) -> Float[np.ndarray, "cell candidate"]:
        """Score cells for the candidates, or for ``other_signatures`` (rows from `restrict_to_panel`), relative to the candidates' mean."""
        signatures = self.signatures if other_signatures is None else other_signatures
        products = _standardized_products(
            log_expr, background, sparse.csr_matrix(sparse.vstack([signatures, sparse.csr_matrix(self.mean_signature)]))
        )
        # Norm of own - common, computed without a dense copy of own.
        squared = np.asarray(signatures.multiply(signatures).sum(axis=1)).ravel() + (self.mean_signature**2).sum()
        length = np.sqrt(np.maximum(squared - 2 * (signatures @ self.mean_signature), 0))
        return (products[:, :-1] - products[:, -1:]) / np.maximum(length, MIN_NORM)


def restrict_to_panel(signatures: sparse.csr_matrix, measured: Bool[np.ndarray, " gene"]) -> sparse.csr_matrix:
    """Restrict signatures to the measured genes and normalize rows to unit length (norms below `MIN_NORM` stay shorter)."""
    restricted = sparse.csr_matrix(signatures.multiply(measured.astype(np.float32)[None, :]))
    restricted.eliminate_zeros()
    length = np.sqrt(np.asarray(restricted.multiply(restricted).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(length, MIN_NORM)) @ restricted)


def balanced_background(head: SignatureHead, log_expr: sparse.csr_matrix, contrast: SignatureContrast) -> Background:
    """Background of a sample if all candidates in it were equally frequent (ours).

    The mean of a sample of 90 % T cells is close to a T cell, and no gene then marks one. Cells are therefore scored and
    weighted by the inverse frequency of their type, and the mean is estimated again.
    """
    background = estimate_background(head, [log_expr])
    nonempty = np.diff(log_expr.indptr) > 0
    if len(contrast.signatures.indptr) < 3 or nonempty.sum() < 2:
        return background
    for _ in range(BACKGROUND_ITERATIONS):
        scores = contrast.scores(log_expr, background)
        assignment = softmax(scores * (ASSIGNMENT_SHARPNESS / max(float(scores[nonempty].std()), 1e-9)), axis=1)
        effective_counts = assignment[nonempty].sum(axis=0) + PSEUDOCOUNT_FRACTION * int(nonempty.sum())
        background = estimate_background(head, [log_expr], iter([(assignment / effective_counts).sum(axis=1)]))
    return background


def _standardized_products(
    log_expr: sparse.csr_matrix, background: Background, signatures: sparse.csr_matrix
) -> NDArray[np.float64]:
    # Sum of (x - level) / spread * w, computed without a dense copy of x.
    weights = sparse.csr_matrix(signatures.multiply((1 / background.spread)[None, :]))
    at_zero = weights @ background.level
    clipped = background.clip(log_expr)
    n_types, n_genes = cast("tuple[int, int]", weights.shape)
    use_dense = n_types < MIN_SPARSE_ROWS or weights.nnz > MAX_SPARSE_DENSITY * n_types * n_genes
    product = clipped @ weights.T.toarray() if use_dense else cast("sparse.csr_matrix", clipped @ weights.T).toarray()
    return np.asarray(product, dtype=np.float64) - at_zero
