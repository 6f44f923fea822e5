"""Contributions of genes to the margin between the predicted type and the runner-up of a group."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from okrcell.tasks.explaining.expectations import ExpectedSignature

SOURCE_TABLES, SOURCE_CELLS, SOURCE_BOTH = "marker tables", "cells of the corpus", "both"
"""Sources of a gene's weight."""
MIN_BOTH_RATIO = 0.25
"""The source is `SOURCE_BOTH` if the smaller part has the same sign and at least this fraction of the larger part."""


@dataclass(frozen=True)
class GeneContribution:
    """Contribution of one gene to the margin between the predicted type and the runner-up, for one group."""

    gene_idx: int
    """Index in the gene vocabulary."""
    value: float
    """Part of the margin in signature score; negative if the gene supports the runner-up."""
    relative_expression: float
    """Mean relative expression of the group's cells; positive if above the background."""
    predicted_weight: float
    """Weight of the gene in the contrasted signature of the predicted type, signed."""
    runner_up_weight: float
    """Weight of the gene in the contrasted signature of the runner-up, signed; 0 without runner-up."""
    source: str
    """`SOURCE_TABLES`, `SOURCE_CELLS` or `SOURCE_BOTH`."""

    @property
    def from_prediction(self) -> bool:
        """Whether the weight of the predicted type is at least as large as that of the runner-up."""
        return abs(self.predicted_weight) >= abs(self.runner_up_weight)

    @property
    def expects_presence(self) -> bool:
        """Whether the type with the larger weight predicts high expression of the gene rather than low expression."""
        return (self.predicted_weight if self.from_prediction else self.runner_up_weight) > 0


def gene_contributions(
    relative: Float[np.ndarray, " gene"], predicted: ExpectedSignature, runner_up: ExpectedSignature, top: int
) -> tuple[GeneContribution, ...]:
    """Return the ``top`` genes with the largest absolute contribution, largest first.

    The contribution of a gene is the difference of its two signature weights times its relative expression. A signature
    score is the scalar product of weights and relative expression, so the contributions of all genes sum to the margin in
    signature score. Ours.

    Parameters
    ----------
    relative
        Mean relative expression of the group's cells.
    predicted
        Contrasted signature of the predicted type.
    runner_up
        Contrasted signature of the runner-up.
    top
        Maximum number of genes.
    """
    weights, from_tables, from_cells = (
        predicted.weights - runner_up.weights,
        predicted.from_tables - runner_up.from_tables,
        predicted.from_cells - runner_up.from_cells,
    )
    contributions = weights * relative
    order = np.argsort(-np.abs(contributions), kind="stable")[:top]
    return tuple(
        GeneContribution(
            int(gene),
            float(contributions[gene]),
            float(relative[gene]),
            float(predicted.weights[gene]),
            float(runner_up.weights[gene]),
            source_of(float(from_tables[gene]), float(from_cells[gene]), float(weights[gene])),
        )
        for gene in order
        if contributions[gene] != 0
    )


def source_of(from_tables: float, from_cells: float, weight: float) -> str:
    """Source of a gene's weight: the larger part with the sign of the whole, or `SOURCE_BOTH` (see `MIN_BOTH_RATIO`)."""
    parts = np.array([from_tables, from_cells]) * np.sign(weight)
    if parts.max() <= 0:
        return SOURCE_BOTH
    if parts.min() >= MIN_BOTH_RATIO * parts.max():
        return SOURCE_BOTH
    return SOURCE_TABLES if parts[0] > parts[1] else SOURCE_CELLS
