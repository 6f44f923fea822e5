"""Harmony on principal components of highly variable genes."""

import logging

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from okrcell.benchmarking.baselines.ground import vectors_in_place
from okrcell.benchmarking.baselines.hvg_pca import batch_of, components


def embed(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell component"]:
    """Correct the components for the batch with Harmony (Korsunsky et al. 2019), default settings of harmonypy."""
    import harmonypy  # pyright: ignore[reportMissingImports]

    found, rows = components(cells, batch_key, seed)
    batch = batch_of(cells, batch_key, rows)
    if batch is None or len(set(batch)) < 2:
        return vectors_in_place(found, rows, cells.n_obs)
    logging.getLogger("harmonypy").setLevel(logging.WARNING)
    table = pd.DataFrame({"batch": batch})
    corrected = harmonypy.run_harmony(found, table, "batch", random_state=seed, verbose=False, ncores=1).Z_corr
    # Some versions return (component, cell), as the R package of Harmony does.
    turned = np.asarray(corrected)
    return vectors_in_place(turned if turned.shape == found.shape else turned.T, rows, cells.n_obs)
