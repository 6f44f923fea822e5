"""Whatever is appended in whatever pieces, the rows come back equal and in order."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.data.corpus import Corpus, shard_file
from okrcell.data.corpus_writer import CorpusWriter
from okrcell.provenance import fingerprint

GENES = 6
NAMES = np.array([f"ENSG{number:011d}" for number in range(GENES)])
TABLE = GeneTable(version="test", ensembl_id=NAMES, symbol=NAMES, biotype=np.full(GENES, "protein_coding"))

values = st.one_of(
    st.just(0.0),
    st.integers(0, 300).map(float),
    st.integers(65_530, 65_540).map(float),
    st.floats(0, 2.0**100, width=32, allow_subnormal=False),
)
matrices = st.integers(0, 12).flatmap(lambda cells: arrays(np.float32, (cells, GENES), elements=values))


@dataclass
class Pieces:
    """Cells that come in pieces of the given sizes, whatever the writer asks for."""

    matrix: np.ndarray
    sizes: list[int]
    kind: str = "linear"

    @property
    def n_cells(self):
        return len(self.matrix)

    def blocks(self, _size):
        start = 0
        for size in self.sizes:
            yield sparse.csr_matrix(self.matrix[start : start + size])
            start += size
        yield sparse.csr_matrix(self.matrix[start:])


@settings(max_examples=60, deadline=None)
@given(
    runs=st.lists(
        st.lists(st.tuples(matrices, st.lists(st.integers(0, 5), max_size=4)), max_size=3), min_size=1, max_size=3
    ),
    shard_cells=st.integers(1, 9),
    data=st.data(),
)
def test_rows_come_back_equal_and_in_order(runs, shard_cells, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus"
        for run in runs:
            with CorpusWriter(path, TABLE, shard_cells=shard_cells) as writer:
                for matrix, sizes in run:
                    obs = pd.DataFrame({"donor": [f"donor{row}" for row in range(len(matrix))]})
                    writer.append(Pieces(matrix, sizes), obs, study="any", origin={})
        everything = np.concatenate([np.zeros((0, GENES), np.float32), *(matrix for run in runs for matrix, _ in run)])
        corpus = Corpus.open(path)
        assert all(fingerprint(shard_file(path, shard.number)) == shard.sha256 for shard in corpus.manifest.shards)
        assert len(corpus) == len(corpus.obs) == len(everything)
        donors = [f"donor{row}" for run in runs for matrix, _ in run for row in range(len(matrix))]
        assert corpus.obs["donor"].tolist() == donors
        found = corpus.rows(np.arange(len(everything)))
        np.testing.assert_array_equal(found.toarray(), everything)
        assert found.nnz == np.count_nonzero(everything)
        np.testing.assert_array_equal(corpus.gene_count(), np.count_nonzero(everything, axis=0))
        if len(everything):
            rows = data.draw(st.lists(st.integers(0, len(everything) - 1), max_size=20))
            np.testing.assert_array_equal(corpus.rows(rows).toarray(), everything[rows])
