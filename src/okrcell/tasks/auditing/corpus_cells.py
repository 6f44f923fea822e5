"""Expression view of a subset of rows of a corpus."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from okrcell.data.corpus import Corpus
from okrcell.cells.expression import Expression
from okrcell.cells.genes import GeneResolution, GeneTable
from okrcell.cells.rows import MatrixRows


def corpus_expression(corpus: Corpus, rows: NDArray[np.integer], table: GeneTable | None = None) -> Expression:
    """Return the expression of the cells ``rows`` of a corpus; read from disk in blocks."""
    table = GeneTable.bundled() if table is None else table
    resolution = GeneResolution(
        row=np.arange(len(table), dtype=np.int32),
        match_counts={},
        unknown=(),
        species="human",
        coverage=1.0,
        duplicated=0,
    )
    return Expression(
        n_cells=len(rows),
        kind="linear",
        source="corpus",
        findings=(),
        resolution=resolution,
        table=table,
        rows=MatrixRows(_CorpusMatrix(corpus, np.asarray(rows, dtype=np.int64)), "the corpus"),
    )


class _CorpusMatrix:
    """Matrix interface of on-disk rows of a corpus."""

    dtype = np.dtype(np.float32)

    def __init__(self, corpus: Corpus, rows: NDArray[np.int64]) -> None:
        self._corpus = corpus
        self._rows = rows
        self.shape = (len(rows), corpus.n_genes)

    def __getitem__(self, index: Any) -> sparse.csr_matrix:
        return self._corpus.rows(self._rows[index])
