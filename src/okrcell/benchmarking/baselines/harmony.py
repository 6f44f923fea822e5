"""Harmony on principal components of highly variable genes."""

import logging

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from okrcell.benchmarking.baselines.classical import scatter_rows
from okrcell.benchmarking.baselines.hvg_pca import batch_labels, variable_gene_pca


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
