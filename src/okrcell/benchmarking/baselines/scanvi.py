"""scANVI, trained on reference and query."""

from collections.abc import Iterator, Sequence
from typing import Any

import anndata
import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.classical import annotation_from_scores, expressed_rows
from okrcell.benchmarking.baselines.scvi import (
    BATCH_KEY,
    BATCH_SIZE,
    QUIET_TRAINING,
    import_scvi,
    train_scvi,
    variable_gene_counts,
)
from okrcell.benchmarking.method import Annotation
from okrcell.errors import InputError

LABEL_KEY = "label"
UNLABELED = "(unknown)"
SCANVI_EPOCHS = 10
"""Default of scvi-tools for a model initialised from scVI."""
CELLS_PER_LABEL = 100
"""Cells per label and epoch, as in the tutorials of scvi-tools."""


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
