"""Where explanations are written, in forms that an h5ad file can hold."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from okrcell.knowledge.evidence import Evidence
    from okrcell.tasks.explain import ExplainingGene, Explanation

COLUMNS = (
    "gene", "speaks", "contribution", "relative", "expected", "runner_up_expected", "inside", "outside", "source", "evidence",
)  # fmt: skip


def slot(of: "Explanation", confidence: "NDArray[np.float64]") -> dict[str, Any]:
    """Write what `okrcell.tl.explain` tells of one group or cell; ``confidence`` is that of its cells."""
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
        "genes": _table(COLUMNS, [_row(gene, number) for gene in of.genes]),
        "evidence": _table(
            ("number", "source", "record", "snapshot", "licence", "text", "sha256"),
            [
                (number[piece], piece.source, piece.record, piece.snapshot, piece.licence, piece.text, piece.sha256)
                for piece in records
            ],
        ),
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


def _table(columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    made = pd.DataFrame(list(rows), columns=pd.Index(columns))
    # An h5ad file needs words as the names of rows.
    made.index = pd.Index([str(place) for place in range(1, len(made) + 1)], dtype=object)
    return made
