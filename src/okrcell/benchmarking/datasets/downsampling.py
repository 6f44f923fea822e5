"""Downsample cells: dropout of entries, gene panels, shallower sequencing."""

import numpy as np
from anndata import AnnData
from scipy import sparse

from okrcell.benchmarking.methods import VALUE_KIND_KEY, get_matrix, log_normalize
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
    _check_probability(rate, "rate")
    values = get_matrix(cells).copy()
    dropped = np.random.default_rng(seed).random(values.nnz) < rate
    values.data[dropped] = 0
    values.eliminate_zeros()
    return _replace_matrix(cells, values)


def gene_panel(cells: AnnData, genes: int, seed: int = 0) -> AnnData:
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
    log_expr = log_normalize(cells)
    # Unexpressed genes would widen the bins in which variances are compared.
    log_expr = log_expr[:, np.asarray(get_matrix(log_expr).sum(axis=0)).ravel() > 0].copy()
    if log_expr.n_vars > genes:
        sc.pp.highly_variable_genes(log_expr, n_top_genes=genes)
        log_expr = log_expr[:, log_expr.var["highly_variable"].to_numpy()]
    return cells[:, cells.var_names.isin(log_expr.var_names)].copy()


def downsample_counts(cells: AnnData, depth: float, seed: int) -> AnnData:
    """Keep each molecule with probability ``depth``, in [0, 1] (binomial thinning).

    If the file holds no counts, the smallest value of a cell is taken as one molecule, which holds for counts divided by
    their total; values are rounded to multiples of it, and returned in the unit of the file. For other units (reads per
    gene length) this overestimates the molecules, and the loss is too mild.

    Raises
    ------
    InputError
        If ``depth`` is not a probability.
    """
    _check_probability(depth, "depth")
    values = get_matrix(cells).copy()
    n_entries = np.diff(values.indptr)
    unit = np.ones(values.nnz)
    if cells.uns.get(VALUE_KIND_KEY) != "counts" and values.nnz:
        starts = values.indptr[:-1][n_entries > 0]
        unit = np.repeat(np.minimum.reduceat(values.data, starts).astype(np.float64), n_entries[n_entries > 0])
    molecules = np.rint(values.data / unit).astype(np.int64)
    values.data = (np.random.default_rng(seed).binomial(molecules, depth) * unit).astype(np.float32)
    values.eliminate_zeros()
    return _replace_matrix(cells, values)


def _replace_matrix(cells: AnnData, values: sparse.csr_matrix) -> AnnData:
    result = cells.copy()
    result.X = values
    return result


def _check_probability(value: float, name: str) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"The {name} must lie between 0 and 1; seen: {value}.")
