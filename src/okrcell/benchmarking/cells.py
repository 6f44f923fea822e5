"""Cells as methods see them: expression without labels."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.counts import find_counts

VALUE_KIND_KEY = "kind"
"""Key of ``uns``: "counts" if X holds whole counts, "linear" if the file holds normalised or log-normalised values."""


def unlabeled_cells(adata: AnnData) -> AnnData:
    """Return the cells without labels: X alone, float32 (cell, gene), CSR, linear and not negative.

    X holds the counts of the file; if the file has log-normalised values only, the logarithm is undone. ``var_names`` (made
    unique) and ``obs_names`` are those of the file; ``uns["kind"]`` is "counts" or "linear".

    Raises
    ------
    InputError
        If the file holds no expression.
    """
    counts = find_counts(adata)
    values = sparse.csr_matrix(sparse.vstack(list(counts.rows.blocks(4096))), dtype=np.float32)
    if counts.inspection.kind == "log1p":
        values.data = np.expm1(values.data * np.float32(np.log(counts.inspection.base)))
    values.eliminate_zeros()
    id_columns = [name for name in ("ensembl_id", "gene_symbol") if name in counts.var]
    # Object columns: not all versions of AnnData write string arrays of pandas.
    genes = pd.DataFrame(
        {name: counts.var[name].astype(str).to_numpy(dtype=object) for name in id_columns}, index=counts.var.index
    )
    cells = AnnData(values, obs=pd.DataFrame(index=adata.obs_names.astype(str)), var=genes)
    cells.var_names_make_unique()
    cells.uns[VALUE_KIND_KEY] = "linear" if counts.inspection.kind in ("log1p", "linear") else "counts"
    return cells


def select_cells(cells: AnnData, rows: NDArray[np.intp], **columns: Sequence[str] | NDArray[np.str_]) -> AnnData:
    """Select cells, in the order of ``rows``; obs holds only ``columns``, as categoricals."""
    subset = cells[rows].copy()
    subset.obs = pd.DataFrame(
        {name: pd.Categorical(np.asarray(values).astype(str)) for name, values in columns.items()},
        index=subset.obs_names,
    )
    return subset


def log_normalize(cells: AnnData) -> AnnData:
    """Return a copy with log1p of counts per 10,000 in X; a cell without counts stays zero."""
    import scanpy as sc

    normalized = cells.copy()
    sc.pp.normalize_total(normalized, target_sum=1e4)
    sc.pp.log1p(normalized)
    return normalized


def get_matrix(cells: AnnData) -> sparse.csr_matrix:
    """Return X with its type."""
    return cast(sparse.csr_matrix, cells.X)
