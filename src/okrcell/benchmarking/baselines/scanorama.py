"""Scanorama on highly variable genes."""

import contextlib
import io

import numpy as np
from anndata import AnnData
from jaxtyping import Float

from okrcell.benchmarking.baselines.ground import expressed, logs_of, vectors_in_place
from okrcell.benchmarking.baselines.hvg_pca import batch_of, components_of, variable_genes
from okrcell.benchmarking.cells import values_of


def embed(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell component"]:
    """Integrate the batches with Scanorama (Hie et al. 2019), default settings."""
    import scanorama  # pyright: ignore[reportMissingImports]

    rows = expressed(cells)
    batch = batch_of(cells, batch_key, rows)
    logs = variable_genes(logs_of(cells, rows), batch)
    if batch is None or len(set(batch)) < 2:
        return vectors_in_place(components_of(logs, seed), rows, cells.n_obs)
    words = np.array(batch)
    places = [np.flatnonzero(words == word) for word in dict.fromkeys(batch)]
    with contextlib.redirect_stdout(io.StringIO()):
        # Scanorama also uses numpy's global random generator, besides its seed.
        before = np.random.get_state()
        np.random.seed(seed)
        try:
            joined, _ = scanorama.integrate(
                [values_of(logs)[place] for place in places],
                [logs.var_names.to_numpy()] * len(places),
                seed=seed,
                verbose=0,
            )
        finally:
            np.random.set_state(before)
    vectors = np.empty((len(rows), joined[0].shape[1]), dtype=np.float32)
    for place, part in zip(places, joined, strict=True):
        vectors[place] = part
    return vectors_in_place(vectors, rows, cells.n_obs)
