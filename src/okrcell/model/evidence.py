"""Signature scores of cells on the measured genes."""

from dataclasses import dataclass
from typing import Self, cast

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax

from okrcell.model.relative_expression import Usual, usual
from okrcell.model.signature_head import SignatureHead

FAINTEST = 0.4
"""Minimum divisor in normalization: a signature of which little was measured stays shorter, because its rest is noise."""
ROUNDS = 2
"""Number of times the background is estimated again, with equal weight for all candidates."""
STEEPNESS = 8.0
"""Sharpness of the soft assignment of cells to candidates in this estimate, per standard deviation of scores."""
FEW, DENSE = 50, 0.2
"""With fewer signatures, or a larger fraction of nonzero weights, the dense product is faster."""
RAREST = 0.02
"""Pseudocount of each candidate, as a fraction of the cells; bounds the weight of rare candidates."""


@dataclass(frozen=True)
class Contrast:
    """Signatures of the candidates on the measured genes, and their mean, which scores subtract."""

    own: sparse.csr_matrix
    """(candidate, gene): unit rows; a row of which little was measured is shorter."""
    common: Float[np.ndarray, " gene"]
    """Mean of the candidates' rows, which separates no two of them. Zero for a single candidate."""

    @classmethod
    def of(cls, signatures: sparse.csr_matrix, measured: Bool[np.ndarray, " gene"]) -> Self:
        """Restrict signatures to the measured genes and compute the mean over candidates."""
        own = measured_part(signatures, measured)
        many = len(own.indptr) > 2
        return cls(own, np.asarray(own.mean(axis=0)).ravel() if many else np.zeros(len(measured)))

    def scores(
        self, logs: sparse.csr_matrix, known: Usual, others: sparse.csr_matrix | None = None
    ) -> Float[np.ndarray, "cell candidate"]:
        """Score cells for the candidates, or for ``others`` (rows from `measured_part`), relative to the candidates' mean."""
        signatures = self.own if others is None else others
        matches = _matches(logs, known, sparse.csr_matrix(sparse.vstack([signatures, sparse.csr_matrix(self.common)])))
        # Norm of own - common, computed without a dense copy of own.
        squared = np.asarray(signatures.multiply(signatures).sum(axis=1)).ravel() + (self.common**2).sum()
        length = np.sqrt(np.maximum(squared - 2 * (signatures @ self.common), 0))
        return (matches[:, :-1] - matches[:, -1:]) / np.maximum(length, FAINTEST)


def measured_part(signatures: sparse.csr_matrix, measured: Bool[np.ndarray, " gene"]) -> sparse.csr_matrix:
    """Restrict signatures to the measured genes and normalize rows to unit length (norms below `FAINTEST` stay shorter)."""
    kept = sparse.csr_matrix(signatures.multiply(measured.astype(np.float32)[None, :]))
    kept.eliminate_zeros()
    length = np.sqrt(np.asarray(kept.multiply(kept).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(length, FAINTEST)) @ kept)


def balanced_usual(head: SignatureHead, logs: sparse.csr_matrix, contrast: Contrast) -> Usual:
    """Background of a sample if all candidates in it were equally frequent (ours).

    The mean of a sample of 90 % T cells is close to a T cell, and no gene then marks one. Cells are therefore scored and
    weighted by the inverse frequency of their type, and the mean is estimated again.
    """
    found = usual(head, [logs])
    cells = np.diff(logs.indptr) > 0
    if len(contrast.own.indptr) < 3 or cells.sum() < 2:
        return found
    for _ in range(ROUNDS):
        scores = contrast.scores(logs, found)
        share = softmax(scores * (STEEPNESS / max(float(scores[cells].std()), 1e-9)), axis=1)
        many = share[cells].sum(axis=0) + RAREST * int(cells.sum())
        found = usual(head, [logs], iter([(share / many).sum(axis=1)]))
    return found


def _matches(logs: sparse.csr_matrix, known: Usual, signatures: sparse.csr_matrix) -> NDArray[np.float64]:
    # Sum of (x - level) / spread * w, computed without a dense copy of x.
    weights = sparse.csr_matrix(signatures.multiply((1 / known.spread)[None, :]))
    at_zero = weights @ known.level
    cut = known.cut(logs)
    types, genes = cast("tuple[int, int]", weights.shape)
    few = types < FEW or weights.nnz > DENSE * types * genes
    product = cut @ weights.T.toarray() if few else cast("sparse.csr_matrix", cut @ weights.T).toarray()
    return np.asarray(product, dtype=np.float64) - at_zero
