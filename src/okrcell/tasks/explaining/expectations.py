"""Expected signatures of candidates, split by source: marker tables and cells of the corpus."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from okrcell.model.marker_scores import MIN_NORM
from okrcell.model.signatures import Signatures


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


def expected_signatures(
    signatures: Signatures, measured: Bool[np.ndarray, " gene"], candidate_idx: Sequence[int]
) -> dict[int, ExpectedSignature]:
    """Split the signatures of the candidates ``candidate_idx`` by source, scaled as in `SignatureContrast`.

    The scalar product of relative expression and ``whole`` is a cell's signature score for the candidate.
    """
    panel = measured.astype(np.float64)
    length = np.sqrt(np.asarray(signatures.combined.multiply(panel[None, :]).power(2).sum(axis=1)).ravel())
    scale = 1 / np.maximum(length, MIN_NORM)
    is_contrasted = len(signatures.type_weights) > 1
    common = [
        np.asarray((sparse.diags(scale) @ part).mean(axis=0)).ravel() * panel
        if is_contrasted
        else np.zeros(len(measured))
        for part in (signatures.knowledge, signatures.cells)
    ]
    expected: dict[int, ExpectedSignature] = {}
    for idx in candidate_idx:
        from_tables, from_cells = (
            part[idx].toarray().ravel() * panel * scale[idx] - common_part
            for part, common_part in zip((signatures.knowledge, signatures.cells), common, strict=True)
        )
        norm = max(float(np.linalg.norm(from_tables + from_cells)), MIN_NORM)
        expected[idx] = ExpectedSignature((from_tables + from_cells) / norm, from_tables / norm, from_cells / norm)
    return expected
