"""scVI on highly variable genes."""

import logging
import tempfile
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anndata
import numpy as np
from anndata import AnnData
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.classical import (
    annotation_from_scores,
    batch_labels,
    expressed_rows,
    log_expression,
    scatter_rows,
    select_variable_genes,
)
from okrcell.benchmarking.methods import Annotation
from okrcell.errors import InputError

BATCH_SIZE = 128
MAX_EPOCHS = 400
MAX_STEPS = 1600
"""Limit for two cores: 3,000 cells train for 66 epochs instead of the default 400, 500 cells for 400. On 1,303 islet cells (a
pretraining set) types were better separated after 1,100 steps than after 2,400."""
BATCH_KEY = "batch"


QUIET_TRAINING = {
    "train_size": 1.0,
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
    "enable_checkpointing": False,
}
LABEL_KEY = "label"
UNLABELED = "(unknown)"
SCANVI_EPOCHS = 10
"""Default of scvi-tools for a model initialised from scVI."""
CELLS_PER_LABEL = 100
"""Cells per label and epoch, as in the tutorials of scvi-tools."""


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


def annotate_scanvi(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Annotation:
    """Train scANVI (Xu et al. 2021) on both studies, with reference and query as batches, and label the query."""
    genes = reference.var_names[reference.var_names.isin(query.var_names)]
    if len(genes) < 2:
        raise InputError(f"Reference and query share {len(genes)} gene names; they must name genes alike.")
    combined = anndata.concat([reference[:, genes], query[:, genes]], index_unique="-")
    combined.obs_names_make_unique()
    combined_labels = np.concatenate([labels, np.full(query.n_obs, "", dtype=labels.dtype)])
    combined.obs[BATCH_KEY] = ["reference"] * reference.n_obs + ["query"] * query.n_obs
    (annotation,) = _annotate_draws(combined, BATCH_KEY, [combined_labels], seed)
    query_rows = slice(reference.n_obs, None)
    assert annotation.scores is not None  # noqa: S101 - `_annotate_draws` gives them
    return Annotation(annotation.label[query_rows], annotation.names, annotation.scores[query_rows], probabilities=True)


def few_shot_scanvi(cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Annotation]:
    """Train scVI once, and scANVI from it for each draw."""
    yield from _annotate_draws(cells, None, draws, seed)


def _annotate_draws(
    cells: AnnData, batch_key: str | None, draws: Sequence[NDArray[np.str_]], seed: int
) -> Iterator[Annotation]:
    rows = expressed_rows(cells)
    batch = None if batch_key is None else cells.obs[batch_key].astype(str).iloc[rows].tolist()
    training_cells = variable_gene_counts(cells, rows, batch)
    with import_scvi(seed) as scvi:
        pretrained: Any = train_scvi(scvi, training_cells)
        for labels in draws:
            training_cells.obs[LABEL_KEY] = np.where(labels[rows] == "", UNLABELED, labels[rows]).astype(object)
            model = scvi.model.SCANVI.from_scvi_model(
                pretrained, unlabeled_category=UNLABELED, labels_key=LABEL_KEY, adata=training_cells
            )
            model.train(
                max_epochs=SCANVI_EPOCHS, n_samples_per_label=CELLS_PER_LABEL, batch_size=BATCH_SIZE, **QUIET_TRAINING
            )
            soft = model.predict(soft=True)
            yield annotation_from_scores(soft.to_numpy(), [str(name) for name in soft.columns], rows, cells.n_obs)
