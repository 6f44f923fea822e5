"""scANVI, trained on reference and query."""

from collections.abc import Iterator, Sequence
from typing import Any

import anndata
import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from okrcell.benchmarking.baselines.ground import expressed, named_in_place
from okrcell.benchmarking.baselines.scvi import BATCH, BATCH_SIZE, QUIET, calm, counts_of_variable_genes, learned
from okrcell.benchmarking.method import Named
from okrcell.errors import InputError

LABEL = "label"
UNKNOWN = "(unknown)"
EPOCHS = 10
"""Default of scvi-tools for a model initialised from scVI."""
CELLS_OF_A_LABEL = 100
"""Cells per label and epoch, as in the tutorials of scvi-tools."""


def annotate(reference: AnnData, labels: NDArray[np.str_], query: AnnData, seed: int) -> Named:
    """Train scANVI (Xu et al. 2021) on both studies, with reference and query as batches, and label the query."""
    genes = reference.var_names[reference.var_names.isin(query.var_names)]
    if len(genes) < 2:
        raise InputError(f"Reference and query share {len(genes)} gene names; they must name genes alike.")
    both = anndata.concat([reference[:, genes], query[:, genes]], index_unique="-")
    both.obs_names_make_unique()
    given = np.concatenate([labels, np.full(query.n_obs, "", dtype=labels.dtype)])
    both.obs[BATCH] = ["reference"] * reference.n_obs + ["query"] * query.n_obs
    (found,) = _named(both, BATCH, [given], seed)
    mine = slice(reference.n_obs, None)
    assert found.scores is not None  # noqa: S101 - `_named` gives them
    return Named(found.label[mine], found.names, found.scores[mine], probabilities=True)


def few_shot(cells: AnnData, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Named]:
    """Train scVI once, and scANVI from it for each draw."""
    yield from _named(cells, None, draws, seed)


def _named(cells: AnnData, batch_key: str | None, draws: Sequence[NDArray[np.str_]], seed: int) -> Iterator[Named]:
    rows = expressed(cells)
    batch = None if batch_key is None else cells.obs[batch_key].astype(str).iloc[rows].tolist()
    shown = counts_of_variable_genes(cells, rows, batch)
    with calm(seed) as scvi:
        start: Any = learned(scvi, shown)
        for labels in draws:
            shown.obs[LABEL] = np.where(labels[rows] == "", UNKNOWN, labels[rows]).astype(object)
            model = scvi.model.SCANVI.from_scvi_model(start, unlabeled_category=UNKNOWN, labels_key=LABEL, adata=shown)
            model.train(max_epochs=EPOCHS, n_samples_per_label=CELLS_OF_A_LABEL, batch_size=BATCH_SIZE, **QUIET)
            soft = model.predict(soft=True)
            yield named_in_place(soft.to_numpy(), [str(name) for name in soft.columns], rows, cells.n_obs)
