"""Read .h5 files of Cell Ranger, version 2 or later."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.findings import add_read_findings
from okrcell.cells.genes import GeneTable


def read_10x_h5(path: Path) -> AnnData:
    """Read a .h5 file of Cell Ranger; several genomes are joined if they have the same cells.

    Otherwise the genome with most human genes is read.
    """
    with h5py.File(path, "r") as file:
        genomes = {
            name: _read_group(group)
            for name, group in sorted(file.items())
            if isinstance(group, h5py.Group) and {"barcodes", "indptr"} <= set(group)
        }
    if len(genomes) == 1:
        return next(iter(genomes.values()))
    first = next(iter(genomes.values()))
    if all(first.obs_names.equals(adata.obs_names) for adata in genomes.values()):
        return _join_genomes(genomes)
    name = max(genomes, key=lambda name: _human_coverage(genomes[name]))
    others = [f"{other} ({adata.n_obs:,} cells)" for other, adata in genomes.items() if other != name]
    finding = f"of several genomes {name} was read; {', '.join(others)} was left out, because its cells are other ones"
    return add_read_findings(genomes[name], [finding])


def decode_strings(values: Any) -> "NDArray[np.object_]":
    """Strings of an HDF5 dataset, which may be stored as bytes."""
    return np.array([value.decode() if isinstance(value, bytes) else str(value) for value in values[:]], dtype=object)


def _read_group(group: Any) -> AnnData:
    n_genes, n_cells = (int(length) for length in group["shape"][:])
    arrays = tuple(group[name][:] for name in ("data", "indices", "indptr"))
    if "features" in group:
        features = group["features"]
        columns = {"id": "gene_ids", "feature_type": "feature_types", "genome": "genome"}
        var = {column: decode_strings(features[name]) for name, column in columns.items() if name in features}
        symbols = decode_strings(features["name"])
    else:
        var, symbols = {"gene_ids": decode_strings(group["genes"])}, decode_strings(group["gene_names"])
    matrix = sparse.csr_matrix(arrays, shape=(n_cells, n_genes))
    matrix.check_format(full_check=True)
    barcodes = decode_strings(group["barcodes"])
    return AnnData(matrix, obs=pd.DataFrame(index=barcodes), var=pd.DataFrame(var, index=symbols))


def _join_genomes(genomes: Mapping[str, AnnData]) -> AnnData:
    """Put the genes of all genomes side by side."""
    var = pd.concat([pd.DataFrame(adata.var).assign(genome=name) for name, adata in genomes.items()])
    obs = pd.DataFrame(next(iter(genomes.values())).obs)
    matrix: Any = sparse.hstack([adata.X for adata in genomes.values()], format="csr")
    adata = AnnData(sparse.csr_matrix(matrix), obs=obs, var=var)
    return add_read_findings(adata, [f"the genes of {' and '.join(genomes)} were joined: {adata.n_vars:,} genes"])


def _human_coverage(adata: AnnData) -> float:
    columns = [adata.var_names.astype(str).tolist(), adata.var["gene_ids"].astype(str).tolist()]
    return GeneTable.bundled().resolve_any(columns).coverage
