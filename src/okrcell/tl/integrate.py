"""Bring cells of several batches into one space where the batch no longer matters."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.tl.seeds import check_seed
from okrcell.tl.vectors import chosen_model, expression_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.model.embedder import Embedder, Progress

NO_BATCH = "(no batch)"


def integrate(
    adata: "AnnData",
    model: "Embedder | None" = None,
    batch_key: str = "batch",
    *,
    key_added: str = "X_okrcell_integrated",
    layer: str | None = None,
    orthologs: bool = False,
    seed: int = 0,
    progress: "Progress | None" = None,
) -> None:
    """Take out of the cells what their batch alone explains.

    Vectors that `embed` or `annotate` left, by the same model, are used again.

    Parameters
    ----------
    batch_key
        Column of ``obs`` with each cell's donor, study, technology or whatever should no longer matter. Cells where it
        is missing are a batch of their own.
    key_added
        Name of the slot in ``obsm``.
    seed
        The same seed gives the same numbers.
    adata, model, layer, orthologs, progress
        As for `embed`, whose slot is written too.

    Returns
    -------
    None; ``obsm[key_added]`` float32 (cell, 15; 20 with one batch), to be compared by Euclidean distance: neighbours, UMAP,
    `cluster` with ``use_rep``; NaN for a cell without expression;
    ``uns["okrcell"]["integrate"]`` the receipt, with the ``batches``, their numbers of ``cells``, the share of each that is
    of kinds of cells the other batches have too (``shared``), and those that have hardly any and were left ``apart``.

    Raises
    ------
    InputError
        If there is no such column, the seed is out of range, or counts or genes cannot be found.
    """
    from okrcell.tasks.examples.column_labels import known_column
    from okrcell.tasks.integrate import together

    check_seed(seed)
    obs = pd.DataFrame(adata.obs)
    known_column(obs, batch_key, "batch_key='...'")
    batch = _batches(obs, batch_key)
    model = chosen_model(model)
    expression = expression_of(adata, layer, orthologs=orthologs)
    vectors = vectors_of(adata, model, expression, layer, progress)
    found = together(expression, vectors, batch, seed=seed)
    adata.obsm[key_added] = found.vectors
    names, counts = np.unique(batch, return_counts=True)
    leave_receipt(
        adata,
        "integrate",
        model,
        expression,
        batch_key=batch_key,
        key_added=key_added,
        batches=names.tolist(),
        cells=counts.tolist(),
        shared=found.shared,
        apart=list(found.apart),
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


def _batches(obs: pd.DataFrame, key: str) -> "NDArray[np.str_]":
    given = obs[key].astype("object")
    return np.asarray(given.where(given.notna(), NO_BATCH).astype(str), dtype=str)
