"""scVI on highly variable genes."""

import logging
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.ground import expressed, logs_of, vectors_in_place
from okrcell.benchmarking.baselines.hvg_pca import batch_of, variable_genes

BATCH_SIZE = 128
MOST_EPOCHS = 400
MOST_STEPS = 1600
"""Limit for two cores: 3,000 cells train for 66 epochs instead of the default 400, 500 cells for 400. On 1,303 islet cells (a
pretraining set) types were better separated after 1,100 steps than after 2,400."""
BATCH = "batch"


def embed(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell latent"]:
    """Return the ten latent variables of scVI (Lopez et al. 2018), default settings; NaN for a cell without expression.

    If the file has no counts, its linear values are used as counts, without rounding.
    """
    rows = expressed(cells)
    shown = counts_of_variable_genes(cells, rows, batch_of(cells, batch_key, rows))
    with calm(seed) as scvi:
        model = learned(scvi, shown)
        vectors = model.get_latent_representation()
    return vectors_in_place(vectors, rows, cells.n_obs)


def counts_of_variable_genes(cells: AnnData, rows: NDArray[np.intp], batch: list[str] | None) -> AnnData:
    """Return counts of the highly variable genes, with the batch of each cell in obs."""
    variable = variable_genes(logs_of(cells, rows), batch).var_names
    shown = cells[rows, variable].copy()
    shown.obs[BATCH] = np.array(batch if batch is not None else ["all"] * len(rows), dtype=object)
    return shown


def learned(scvi: Any, shown: AnnData) -> Any:
    """Train an scVI model."""
    scvi.model.SCVI.setup_anndata(shown, batch_key=BATCH)
    model = scvi.model.SCVI(shown)
    steps = -(-shown.n_obs // BATCH_SIZE)
    model.train(max_epochs=max(min(MOST_EPOCHS, MOST_STEPS // steps), 1), batch_size=BATCH_SIZE, **QUIET)
    return model


QUIET = {
    "train_size": 1.0,
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
    "enable_checkpointing": False,
}


@contextmanager
def calm(seed: int) -> Generator[Any]:
    """Import scvi-tools with a seed, without logs and warnings, and with a temporary logging folder."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        import scvi  # pyright: ignore[reportMissingImports]

        for name in ("scvi", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        scvi.settings.logging_dir = folder
        scvi.settings.seed = seed
        scvi.settings.num_threads = 1
        yield scvi
