"""Convert explanations to strings, numbers and DataFrames that an h5ad file can store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from okrcell.tl.tables import evidence_table, make_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from okrcell.evidence import Evidence
    from okrcell.tasks.explain import ExplainingGene, Explanation

GENE_COLUMNS = (
    "gene", "speaks", "contribution", "relative", "expected", "runner_up_expected", "inside", "outside", "source", "evidence",
)  # fmt: skip


def explanation_to_slot(explanation: "Explanation", confidence: "NDArray[np.float64]") -> dict[str, Any]:
    """Convert the explanation of one group or cell to the entry that `okrcell.tl.explain` documents.

    Parameters
    ----------
    explanation
        Explanation of the group or cell.
    confidence
        Confidence of each cell of the group, shape (cell,), in [0, 1].
    """
    records = list(dict.fromkeys(record for gene in explanation.genes for record in gene.records))
    number_of = {record: i for i, record in enumerate(records, start=1)}
    return {
        "cell_type": "unknown" if explanation.prediction is None else explanation.prediction.name,
        "cell_type_ontology_term_id": "" if explanation.prediction is None else explanation.prediction.term_id,
        "share": explanation.fraction,
        "confidence": float(confidence.mean()) if len(confidence) else float("nan"),
        "runner_up": "" if explanation.runner_up is None else explanation.runner_up.name,
        "runner_up_ontology_term_id": "" if explanation.runner_up is None else explanation.runner_up.term_id,
        "score": explanation.scores[0],
        "runner_up_score": explanation.scores[1],
        "cells": explanation.n_cells,
        "without_expression": explanation.without_expression,
        "genes": make_table(GENE_COLUMNS, [_gene_row(gene, number_of) for gene in explanation.genes]),
        "evidence": evidence_table(records),
    }


def _gene_row(gene: "ExplainingGene", number_of: "Mapping[Evidence, int]") -> tuple[Any, ...]:
    entry = gene.contribution
    return (
        gene.symbol,
        "for" if gene.supports_prediction else "against",
        entry.value,
        entry.relative_expression,
        entry.predicted_weight,
        entry.runner_up_weight,
        gene.inside,
        gene.outside,
        entry.source,
        ", ".join(str(number_of[record]) for record in gene.records),
    )
