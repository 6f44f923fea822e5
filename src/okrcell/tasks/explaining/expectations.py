"""Expected signatures of candidates, split by source: marker tables and cells of the corpus."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from okrcell.model.evidence import FAINTEST
from okrcell.model.signature_head import Signatures


@dataclass(frozen=True)
class Expectation:
    """Signature of one candidate on the measured genes minus the mean of all candidates, as used in scoring."""

    whole: Float[np.ndarray, " gene"]
    """Signed weights: the sum of the two parts below."""
    tables: Float[np.ndarray, " gene"]
    """Part learned from marker tables."""
    cells: Float[np.ndarray, " gene"]
    """Part learned from cells of the corpus."""

    @classmethod
    def nothing(cls, genes: int) -> "Expectation":
        """Return zero weights, for a missing runner-up."""
        return cls(np.zeros(genes), np.zeros(genes), np.zeros(genes))


def expectations(
    signatures: Signatures, measured: Bool[np.ndarray, " gene"], numbers: Sequence[int]
) -> dict[int, Expectation]:
    """Split the signatures of the candidates ``numbers`` by source, scaled as in `SignatureContrast`.

    The scalar product of relative expression and ``whole`` is a cell's signature score for the candidate.
    """
    panel = measured.astype(np.float64)
    length = np.sqrt(np.asarray(signatures.genes.multiply(panel[None, :]).power(2).sum(axis=1)).ravel())
    scale = 1 / np.maximum(length, FAINTEST)
    many = len(signatures.known_types) > 1
    common = [
        np.asarray((sparse.diags(scale) @ part).mean(axis=0)).ravel() * panel if many else np.zeros(len(measured))
        for part in (signatures.knowledge, signatures.cells)
    ]
    found: dict[int, Expectation] = {}
    for number in numbers:
        tables, cells = (
            part[number].toarray().ravel() * panel * scale[number] - shared
            for part, shared in zip((signatures.knowledge, signatures.cells), common, strict=True)
        )
        size = max(float(np.linalg.norm(tables + cells)), FAINTEST)
        found[number] = Expectation((tables + cells) / size, tables / size, cells / size)
    return found
