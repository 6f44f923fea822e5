"""Downsample cells: dropout of entries, gene panels, shallower sequencing."""

import numpy as np
from anndata import AnnData
from scipy import sparse

from okrcell.benchmarking.cells import KIND, log_normalised, values_of
from okrcell.errors import InputError


def dropout(cells: AnnData, rate: float, seed: int) -> AnnData:
    """Set each nonzero entry to zero with probability ``rate``, in [0, 1].

    The paper's test under dropout "knocks out fragments of the transcriptome"; independent single entries are our
    reconstruction.

    Raises
    ------
    InputError
        If ``rate`` is not a probability.
    """
    _share(rate, "rate")
    values = values_of(cells).copy()
    lost = np.random.default_rng(seed).random(values.nnz) < rate
    values.data[lost] = 0
    values.eliminate_zeros()
    return _with(cells, values)


def panel(cells: AnnData, genes: int, seed: int = 0) -> AnnData:
    """Keep the ``genes`` most variable genes (scanpy's flavor "seurat"), in the order of the file.

    Gene panels are designed to separate the cell types of a tissue, which variable genes approximate. All genes are kept if
    there are no more than ``genes``; ``seed`` is not used.

    Raises
    ------
    InputError
        If ``genes`` is less than one.
    """
    import scanpy as sc

    if genes < 1:
        raise InputError(f"A panel needs at least one gene; seen: genes = {genes}.")
    if cells.n_vars <= genes:
        return cells.copy()
    logs = log_normalised(cells)
    # Unexpressed genes would widen the bins in which variances are compared.
    logs = logs[:, np.asarray(values_of(logs).sum(axis=0)).ravel() > 0].copy()
    if logs.n_vars > genes:
        sc.pp.highly_variable_genes(logs, n_top_genes=genes)
        logs = logs[:, logs.var["highly_variable"].to_numpy()]
    return cells[:, cells.var_names.isin(logs.var_names)].copy()


def shallow(cells: AnnData, depth: float, seed: int) -> AnnData:
    """Keep each molecule with probability ``depth``, in [0, 1] (binomial thinning).

    If the file holds no counts, the smallest value of a cell is taken as one molecule, which holds for counts divided by
    their total; values are rounded to multiples of it, and returned in the unit of the file. For other units (reads per
    gene length) this overestimates the molecules, and the loss is too mild.

    Raises
    ------
    InputError
        If ``depth`` is not a probability.
    """
    _share(depth, "depth")
    values = values_of(cells).copy()
    filled = np.diff(values.indptr)
    unit = np.ones(values.nnz)
    if cells.uns.get(KIND) != "counts" and values.nnz:
        starts = values.indptr[:-1][filled > 0]
        unit = np.repeat(np.minimum.reduceat(values.data, starts).astype(np.float64), filled[filled > 0])
    molecules = np.rint(values.data / unit).astype(np.int64)
    values.data = (np.random.default_rng(seed).binomial(molecules, depth) * unit).astype(np.float32)
    values.eliminate_zeros()
    return _with(cells, values)


def _with(cells: AnnData, values: sparse.csr_matrix) -> AnnData:
    shown = cells.copy()
    shown.X = values
    return shown


def _share(value: float, name: str) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"The {name} must lie between 0 and 1; seen: {value}.")
