"""What the names of cells expect of each gene, and from whom the model has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from okrcell.model.evidence import FAINTEST
from okrcell.model.signature_head import Signatures


@dataclass(frozen=True)
class Expectation:
    """Of one name: its signature on the measured genes, less what all candidates have in common, as evidence is scored."""

    whole: Float[np.ndarray, " gene"]
    """Signed; the sum of the two parts below."""
    tables: Float[np.ndarray, " gene"]
    """What marker tables told."""
    cells: Float[np.ndarray, " gene"]
    """What cells of the corpus showed."""

    @classmethod
    def nothing(cls, genes: int) -> "Expectation":
        """Expect nothing of any gene: there is no other name."""
        return cls(np.zeros(genes), np.zeros(genes), np.zeros(genes))


def expectations(
    signatures: Signatures, measured: Bool[np.ndarray, " gene"], numbers: Sequence[int]
) -> dict[int, Expectation]:
    """Take the candidates at ``numbers`` apart as `okrcell.model.evidence.Contrast` scores them.

    Relative expression times ``whole``, summed over genes, is a cell's evidence for the candidate.
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
