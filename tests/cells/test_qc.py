"""QC metrics equal a manual count."""

import numpy as np
from anndata import AnnData

from okrcell.cells.expression import read_expression
from okrcell.cells.qc import qc_metrics


def figures(values):
    adata = AnnData(np.array(values, dtype=np.float32))
    adata.var_names = ["CD3D", "LYZ", "MT-ND1", "MT-CO1"]
    return qc_metrics(read_expression(adata))


def test_counts_genes_and_mitochondria_are_counted():
    found = figures([[3, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    assert found.n_counts.tolist() == [4, 4, 0]
    assert found.n_genes.tolist() == [2, 4, 0]
    assert np.array_equal(found.mitochondrial_fraction, np.array([0.25, 0.5, np.nan], dtype=np.float32), equal_nan=True)
    assert found.empty.tolist() == [False, False, True]
    assert str(found) == "3 cells: median 4 counts and 3 genes, 37.5% mitochondrial; 1 empty"


def test_only_empty_cells_are_said_so():
    assert str(figures([[0, 0, 0, 0]])) == "1 cells, all empty"
