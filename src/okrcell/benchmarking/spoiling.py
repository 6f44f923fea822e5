"""Cells with less to see of them: entries lost, fewer genes, fewer molecules."""

import numpy as np
from anndata import AnnData
from scipy import sparse

from okrcell.benchmarking.cells import KIND, log_normalised, values_of
from okrcell.errors import InputError


def dropout(cells: AnnData, rate: float, seed: int) -> AnnData:
    """Lose each entry that is not zero with probability ``rate``, in [0, 1].

    The paper's test under dropout "knocks out fragments of the transcriptome"; that these are single entries, drawn
    independently, is our reconstruction.

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
    """Keep so many genes: those in which the cells differ most (scanpy's "seurat"), in the order of the file.

    Panels are designed to tell the cells of a tissue apart, so these are the genes of a good one. All are kept where
    there are no more than ``genes``; ``seed`` has no say.

    Raises
    ------
    InputError
        If ``genes`` is less than one.
    """
    import scanpy as sc

    if genes < 1:
        raise InputError(f"A panel has at least one gene, but genes is {genes}.")
    if cells.n_vars <= genes:
        return cells.copy()
    logs = log_normalised(cells)
    # Genes that no cell has would widen the bins in which genes are compared.
    logs = logs[:, np.asarray(values_of(logs).sum(axis=0)).ravel() > 0].copy()
    if logs.n_vars > genes:
        sc.pp.highly_variable_genes(logs, n_top_genes=genes)
        logs = logs[:, logs.var["highly_variable"].to_numpy()]
    return cells[:, cells.var_names.isin(logs.var_names)].copy()


def shallow(cells: AnnData, depth: float, seed: int) -> AnnData:
    """Keep each molecule with probability ``depth``, in [0, 1] (binomial thinning).

    Where the file holds no counts, the smallest value of a cell is taken for one molecule of it, as it is after counts
    were divided by their total; values are whole multiples of it, rounded, and are given back in the file's own unit. Where
    that is not so (reads per length of the gene), more molecules are assumed than there were, and the loss is too mild.

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
        raise InputError(f"The {name} must lie between 0 and 1, but it is {value}.")
