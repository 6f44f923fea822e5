"""Signatures of candidates as they enter scores, split into the parts from marker tables and from cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.model.marker_scores import MIN_NORM, SignatureContrast
from okrcell.model.sample_scores import kinds_of_candidates
from okrcell.model.signatures import SignatureHead, Signatures


@dataclass(frozen=True)
class ExpectedSignature:
    """Signature of one candidate on the measured genes minus the mean of all candidates, as used in scoring."""

    weights: Float[np.ndarray, " gene"]
    """Signed weights: the sum of the two parts below."""
    from_tables: Float[np.ndarray, " gene"]
    """Part learned from marker tables."""
    from_cells: Float[np.ndarray, " gene"]
    """Part learned from cells of the corpus."""

    @classmethod
    def zeros(cls, n_genes: int) -> "ExpectedSignature":
        """Return zero weights, for a missing runner-up."""
        return cls(np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes))


@dataclass(frozen=True)
class CandidateSignatures:
    """Signatures of candidates and their kinds, split by source and scaled as in `SignatureContrast`."""

    signatures: Signatures
    """Signatures of the candidates."""
    head: SignatureHead
    kinds: Sequence[NDArray[np.intp]]
    """Indices of the known types that are kinds of each candidate (`okrcell.model.sample_scores.kinds_of_candidates`)."""
    contrast: SignatureContrast
    measured: Bool[np.ndarray, " gene"]
    common: tuple[Float[np.ndarray, " gene"], Float[np.ndarray, " gene"]]
    """Means over the candidates of the two parts, which scores subtract."""

    @classmethod
    def from_candidates(
        cls, signatures: Signatures, head: SignatureHead, term_ids: Sequence[str], measured: Bool[np.ndarray, " gene"]
    ) -> "CandidateSignatures":
        """Prepare the split for the candidates with these signatures and Cell Ontology ids."""
        contrast = SignatureContrast.from_signatures(signatures.combined, measured, head.variation)
        panel = measured.astype(np.float64)
        length = np.sqrt(np.asarray(signatures.combined.multiply(panel[None, :]).power(2).sum(axis=1)).ravel())
        scale = sparse.diags(1 / np.maximum(length, MIN_NORM))
        from_tables, from_cells = (
            np.asarray((scale @ part).mean(axis=0)).ravel() * panel if len(term_ids) > 1 else np.zeros(len(measured))
            for part in (signatures.knowledge, signatures.cells)
        )
        kinds = kinds_of_candidates(head.types, term_ids)
        return cls(signatures, head, kinds, contrast, measured, (from_tables, from_cells))

    def of(self, candidate_idx: int, relative: Float[np.ndarray, " gene"]) -> ExpectedSignature:
        """Signature whose scalar product with relative expression is the signature score of a candidate.

        The score of a candidate is the mean of its own and of the highest among its own and those of its kinds
        (`okrcell.model.sample_scores.combine_kinds`).

        Parameters
        ----------
        candidate_idx
            Index of the candidate.
        relative
            Mean relative expression of the cells, which selects the kind.
        """
        own = self._split(self.signatures.knowledge[candidate_idx], self.signatures.cells[candidate_idx])
        kinds = [self._split(self.head.knowledge[idx], self.head.cells[idx]) for idx in self.kinds[candidate_idx]]
        best = max((own, *kinds), key=lambda signature: float(signature.weights @ relative))
        return ExpectedSignature(
            (own.weights + best.weights) / 2,
            (own.from_tables + best.from_tables) / 2,
            (own.from_cells + best.from_cells) / 2,
        )

    def _split(self, knowledge: sparse.csr_matrix, cells: sparse.csr_matrix) -> ExpectedSignature:
        parts = [part.toarray().ravel() * self.measured for part in (knowledge, cells)]
        scale = 1 / max(float(np.linalg.norm(parts[0] + parts[1])), MIN_NORM)
        differences = [part * scale - common for part, common in zip(parts, self.common, strict=True)]
        weights, norm = self.contrast.gene_weights(differences[0] + differences[1])
        from_tables, from_cells = (self.contrast.gene_weights(difference)[0] / norm for difference in differences)
        return ExpectedSignature(weights / norm, from_tables, from_cells)
