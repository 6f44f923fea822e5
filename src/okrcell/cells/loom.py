"""Read loom files: genes in rows, cells in columns."""

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from okrcell.cells.findings import add_read_findings
from okrcell.cells.tenx_h5 import decode_strings

CHUNK_SIZE = 1000
"""Cells that are held dense in memory at a time."""
CELL_NAMES = ("CellID", "obs_names", "cell_id")
GENE_NAMES = ("Gene", "var_names", "gene", "Accession")


def read_loom(path: Path) -> AnnData:
    """Read the main matrix, the layers of the same shape, and the one-dimensional attributes of genes and cells."""
    with h5py.File(path, "r") as file:
        matrix: Any = file["matrix"]
        n_genes, n_cells = matrix.shape
        obs = _attributes(file["col_attrs"], n_cells, CELL_NAMES)
        var = _attributes(file["row_attrs"], n_genes, GENE_NAMES)
        layers: dict[str, sparse.csr_matrix] = {}
        stored_layers: Any = file.get("layers", {})
        for name, layer in stored_layers.items():
            if getattr(layer, "shape", None) == matrix.shape:
                layers[str(name)] = _read_turned(layer)
            else:
                warnings.warn(f"layers['{name}'] has another shape than the matrix and is left out.", stacklevel=2)
        counts = _read_turned(matrix)
    if "Accession" in var:
        var["gene_ids"] = var["Accession"]
    adata = AnnData(counts, obs=obs, var=var, layers=layers)
    return add_read_findings(adata, [f"layers of the loom file: {', '.join(layers)}"] if layers else [])


def _read_turned(matrix: Any) -> sparse.csr_matrix:
    """Read a (gene, cell) matrix as a sparse (cell, gene) matrix, a few cells at a time."""
    starts = range(0, matrix.shape[1], CHUNK_SIZE)
    parts = [sparse.csr_matrix(np.asarray(matrix[:, start : start + CHUNK_SIZE]).T) for start in starts]
    return sparse.csr_matrix(sparse.vstack(parts, format="csr"))


def _attributes(group: Any, length: int, names: tuple[str, ...]) -> pd.DataFrame:
    """Attributes of genes or cells; the first of ``names`` that is there becomes the index."""
    columns = {name: attribute for name, attribute in group.items() if attribute.shape == (length,)}
    values = {
        name: decode_strings(attribute) if attribute.dtype.kind in "OS" else attribute[:]
        for name, attribute in columns.items()
    }
    table = pd.DataFrame(values, index=pd.RangeIndex(length).astype(str))
    index = next((name for name in names if name in table), None)
    if index is not None:
        table.index = pd.Index(table[index].astype(str).to_numpy())
    return table
