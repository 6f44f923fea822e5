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

from okrcell.benchmarking.baselines.classical import expressed_rows, log_expression, scatter_rows
from okrcell.benchmarking.baselines.hvg_pca import batch_labels, select_variable_genes

BATCH_SIZE = 128
MAX_EPOCHS = 400
MAX_STEPS = 1600
"""Limit for two cores: 3,000 cells train for 66 epochs instead of the default 400, 500 cells for 400. On 1,303 islet cells (a
pretraining set) types were better separated after 1,100 steps than after 2,400."""
BATCH_KEY = "batch"


def embed_scvi(cells: AnnData, batch_key: str | None, seed: int) -> Float[np.ndarray, "cell latent"]:
    """Return the ten latent variables of scVI (Lopez et al. 2018), default settings; NaN for a cell without expression.

    If the file has no counts, its linear values are used as counts, without rounding.
    """
    rows = expressed_rows(cells)
    training_cells = variable_gene_counts(cells, rows, batch_labels(cells, batch_key, rows))
    with import_scvi(seed) as scvi:
        model = train_scvi(scvi, training_cells)
        vectors = model.get_latent_representation()
    return scatter_rows(vectors, rows, cells.n_obs)


def variable_gene_counts(cells: AnnData, rows: NDArray[np.intp], batch: list[str] | None) -> AnnData:
    """Return counts of the highly variable genes, with the batch of each cell in obs."""
    variable = select_variable_genes(log_expression(cells, rows), batch).var_names
    training_cells = cells[rows, variable].copy()
    training_cells.obs[BATCH_KEY] = np.array(batch if batch is not None else ["all"] * len(rows), dtype=object)
    return training_cells


def train_scvi(scvi: Any, training_cells: AnnData) -> Any:
    """Train an scVI model."""
    scvi.model.SCVI.setup_anndata(training_cells, batch_key=BATCH_KEY)
    model = scvi.model.SCVI(training_cells)
    steps = -(-training_cells.n_obs // BATCH_SIZE)
    model.train(max_epochs=max(min(MAX_EPOCHS, MAX_STEPS // steps), 1), batch_size=BATCH_SIZE, **QUIET_TRAINING)
    return model


QUIET_TRAINING = {
    "train_size": 1.0,
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
    "enable_checkpointing": False,
}


@contextmanager
def import_scvi(seed: int) -> Generator[Any]:
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
