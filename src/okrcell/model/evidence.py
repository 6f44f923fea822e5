"""How well the genes of a cell agree with what a text predicts."""

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
"""A signature of which little was measured is not blown up to full length: what is left of it is noise."""
ROUNDS = 2
"""So many times the usual level is asked for anew, now with all candidates alike."""
STEEPNESS = 8.0
"""How decidedly a cell counts for its best candidate in this, per standard deviation of scores."""
FEW, DENSE = 50, 0.2
"""Fewer signatures, or fuller ones, are multiplied quicker without regard to zeros."""
RAREST = 0.02
"""A candidate of fewer cells than this share counts no more than if it had it."""


@dataclass(frozen=True)
class Contrast:
    """Signatures of some candidates on the genes that were measured, and what each has that the others lack."""

    own: sparse.csr_matrix
    """(candidate, gene): unit rows; a row of which little was measured is shorter."""
    common: Float[np.ndarray, " gene"]
    """Mean of the candidates' rows: it tells no two of them apart. Zero where one candidate is alone."""

    @classmethod
    def of(cls, signatures: sparse.csr_matrix, measured: Bool[np.ndarray, " gene"]) -> Self:
        """Leave out genes that were not measured, and take the mean over candidates."""
        own = measured_part(signatures, measured)
        many = len(own.indptr) > 2
        return cls(own, np.asarray(own.mean(axis=0)).ravel() if many else np.zeros(len(measured)))

    def scores(
        self, logs: sparse.csr_matrix, known: Usual, others: sparse.csr_matrix | None = None
    ) -> Float[np.ndarray, "cell candidate"]:
        """Score cells for the candidates, or for ``others`` (signatures as `measured_part` gives them) against these."""
        signatures = self.own if others is None else others
        matches = _matches(logs, known, sparse.csr_matrix(sparse.vstack([signatures, sparse.csr_matrix(self.common)])))
        # |own - common|, without filling the zeros of own.
        squared = np.asarray(signatures.multiply(signatures).sum(axis=1)).ravel() + (self.common**2).sum()
        length = np.sqrt(np.maximum(squared - 2 * (signatures @ self.common), 0))
        return (matches[:, :-1] - matches[:, -1:]) / np.maximum(length, FAINTEST)


def measured_part(signatures: sparse.csr_matrix, measured: Bool[np.ndarray, " gene"]) -> sparse.csr_matrix:
    """Leave out genes that were not measured, and bring each signature to unit length (a faint one stays shorter)."""
    kept = sparse.csr_matrix(signatures.multiply(measured.astype(np.float32)[None, :]))
    kept.eliminate_zeros()
    length = np.sqrt(np.asarray(kept.multiply(kept).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(length, FAINTEST)) @ kept)


def balanced_usual(head: SignatureHead, logs: sparse.csr_matrix, contrast: Contrast) -> Usual:
    """Return what is usual in a sample if all candidates that are in it were equally many (ours).

    The mean of a sample that is nine tenths T cells is a T cell, and nothing then marks one. So cells are scored, weighed
    by how few are of their like, and the mean is taken again.
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
    # Sum of (x - level) / spread times w, without filling the zeros of x.
    weights = sparse.csr_matrix(signatures.multiply((1 / known.spread)[None, :]))
    at_zero = weights @ known.level
    cut = known.cut(logs)
    types, genes = cast("tuple[int, int]", weights.shape)
    few = types < FEW or weights.nnz > DENSE * types * genes
    product = cut @ weights.T.toarray() if few else cast("sparse.csr_matrix", cut @ weights.T).toarray()
    return np.asarray(product, dtype=np.float64) - at_zero
