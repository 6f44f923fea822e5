"""Convert explanations to strings, numbers and DataFrames that an h5ad file can store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from okrcell.tl.tables import table, table_of_records

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from okrcell.knowledge.evidence import Evidence
    from okrcell.tasks.explain import ExplainingGene, Explanation

COLUMNS = (
    "gene", "speaks", "contribution", "relative", "expected", "runner_up_expected", "inside", "outside", "source", "evidence",
)  # fmt: skip


def slot(of: "Explanation", confidence: "NDArray[np.float64]") -> dict[str, Any]:
    """Convert the explanation of one group or cell to the entry that `okrcell.tl.explain` documents.

    Parameters
    ----------
    of
        Explanation of the group or cell.
    confidence
        Confidence of each cell of the group, shape (cell,), in [0, 1].
    """
    records = list(dict.fromkeys(piece for gene in of.genes for piece in gene.records))
    number = {piece: place for place, piece in enumerate(records, start=1)}
    return {
        "cell_type": "unknown" if of.answer is None else of.answer.name,
        "cell_type_ontology_term_id": "" if of.answer is None else of.answer.term_id,
        "share": of.share,
        "confidence": float(confidence.mean()) if len(confidence) else float("nan"),
        "runner_up": "" if of.rival is None else of.rival.name,
        "runner_up_ontology_term_id": "" if of.rival is None else of.rival.term_id,
        "score": of.scores[0],
        "runner_up_score": of.scores[1],
        "cells": of.cells,
        "without_expression": of.without_expression,
        "genes": table(COLUMNS, [_row(gene, number) for gene in of.genes]),
        "evidence": table_of_records(records),
    }


def _row(gene: "ExplainingGene", number: "Mapping[Evidence, int]") -> tuple[Any, ...]:
    word = gene.speaker
    return (
        gene.symbol,
        "for" if gene.speaks_for else "against",
        word.contribution,
        word.relative,
        word.answer,
        word.rival,
        gene.inside,
        gene.outside,
        word.source,
        ", ".join(str(number[piece]) for piece in gene.records),
    )
