"""Scanorama on highly variable genes."""

import contextlib
import io
import logging

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from okrcell.benchmarking.baselines.classical import (
    batch_labels,
    expressed_rows,
    log_expression,
    pca_components,
    scatter_rows,
    select_variable_genes,
    variable_gene_pca,
)
from okrcell.benchmarking.methods import get_matrix


def embed_harmony(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell component"]:
    """Correct the components for the batch with Harmony (Korsunsky et al. 2019), default settings of harmonypy."""
    import harmonypy  # pyright: ignore[reportMissingImports]

    pcs, rows = variable_gene_pca(cells, batch_key, seed)
    batch = batch_labels(cells, batch_key, rows)
    if batch is None or len(set(batch)) < 2:
        return scatter_rows(pcs, rows, cells.n_obs)
    logging.getLogger("harmonypy").setLevel(logging.WARNING)
    table = pd.DataFrame({"batch": batch})
    corrected = harmonypy.run_harmony(pcs, table, "batch", random_state=seed, verbose=False, ncores=1).Z_corr
    # Some versions return (component, cell), as the R package of Harmony does.
    corrected_pcs = np.asarray(corrected)
    return scatter_rows(corrected_pcs if corrected_pcs.shape == pcs.shape else corrected_pcs.T, rows, cells.n_obs)


def embed_scanorama(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell component"]:
    """Integrate the batches with Scanorama (Hie et al. 2019), default settings."""
    import scanorama  # pyright: ignore[reportMissingImports]

    rows = expressed_rows(cells)
    batch = batch_labels(cells, batch_key, rows)
    log_expr = select_variable_genes(log_expression(cells, rows), batch)
    if batch is None or len(set(batch)) < 2:
        return scatter_rows(pca_components(log_expr, seed), rows, cells.n_obs)
    batch_names = np.array(batch)
    batch_rows = [np.flatnonzero(batch_names == name) for name in dict.fromkeys(batch)]
    with contextlib.redirect_stdout(io.StringIO()):
        # Scanorama also uses numpy's global random generator, besides its seed.
        random_state = np.random.get_state()
        np.random.seed(seed)
        try:
            integrated, _ = scanorama.integrate(
                [get_matrix(log_expr)[part_rows] for part_rows in batch_rows],
                [log_expr.var_names.to_numpy()] * len(batch_rows),
                seed=seed,
                verbose=0,
            )
        finally:
            np.random.set_state(random_state)
    vectors = np.empty((len(rows), integrated[0].shape[1]), dtype=np.float32)
    for part_rows, part_vectors in zip(batch_rows, integrated, strict=True):
        vectors[part_rows] = part_vectors
    return scatter_rows(vectors, rows, cells.n_obs)
