"""Batch integration."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_anndata
from okrcell.cells.groupings import check_grouping
from okrcell.tl._anndata import check_seed, get_embeddings, get_model, read_counts, write_provenance
from okrcell.tl._docs import doc_params

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.model.embedder import Embedder
    from okrcell.progress import ProgressOption

NO_BATCH = "(no batch)"


@doc_params
def integrate(
    adata: "AnnData",
    model: "Embedder | None" = None,
    batch_key: str = "batch",
    *,
    key_added: str = "X_okrcell_integrated",
    layer: str | None = None,
    orthologs: bool = False,
    species: str | None = None,
    seed: int = 0,
    progress: "ProgressOption" = None,
) -> None:
    """Compute a representation of the cells without batch effects.

    Parameters
    ----------
    {adata}
    {model}
    batch_key : str, default "batch"
        Column of ``obs`` with the batch of each cell: donor, study or technology. Cells without a value form a batch of their
        own.
    key_added : str, default "X_okrcell_integrated"
        Slot of ``obsm`` to write.
    {layer}
    {orthologs}
    {species}
    seed : int, default 0
        Random seed; from 0 to 2**32 - 1. The same seed gives the same representation.
    {progress}

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``obsm[key_added]`` : float32 array, shape (cell, 15), or (cell, 20) with one batch
            Integrated representation, to be compared by Euclidean distance: for neighbours, UMAP, or `cluster` with
            ``use_rep``. NaN for a cell without expression. Tiny samples have fewer columns.
        {embedding_slot}
        ``uns["okrcell"]["integrate"]`` : dict
            {provenance}
            ``batches`` lists the batches, ``cells`` the number of cells of each, ``shared`` the fraction of its cells that are
            of types other batches have too, and ``apart`` the batches with too little in common, which were not moved.

    Raises
    ------
    InputError
        If there is no column ``batch_key``, or it holds measurements or barcodes.
        {bad_seed}
        {unreadable}

    See Also
    --------
    cluster : Cluster on the integrated representation with ``use_rep``.
    okrcell.pl.clusters : Plot the representation before and after.

    Notes
    -----
    Genes are standardized within each batch, with cells weighted so that types shared between batches count alike. The
    principal components of the result and the embeddings are corrected together in the manner of Harmony [1]_ (equations 4 to
    12, implemented from the paper), then scaled to equal total variance, concatenated and reduced to 15 principal components. A
    batch of which less than 10 % of the cells belong to shared types is not moved. The combination is ours.

    References
    ----------
    .. [1] Korsunsky et al. (2019), Fast, sensitive and accurate integration of single-cell data with Harmony,
       doi:10.1038/s41592-019-0619-0.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> adata.obs["donor"] = ["a", "b"] * 50
    >>> okr.tl.integrate(adata, model, batch_key="donor")
    >>> adata.obsm["X_okrcell_integrated"].shape
    (100, 15)
    >>> adata.uns["okrcell"]["integrate"]["batches"]
    ['a', 'b']
    >>> okr.tl.cluster(adata, model, use_rep="X_okrcell_integrated")
    """
    from okrcell.tasks.integration import integrate_vectors
    from okrcell.tasks.labels import check_column

    check_anndata(adata)
    check_seed(seed)
    obs = pd.DataFrame(adata.obs)
    check_column(obs, batch_key, "batch_key='...'")
    check_grouping(
        obs[batch_key], batch_key, "Pass a column with batches, such as donors: --batch-key (batch_key=...)."
    )
    batches = _read_batches(obs, batch_key)
    model = get_model(model)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embeddings = get_embeddings(adata, model, expression, progress)
    result = integrate_vectors(expression, embeddings, batches, seed=seed)
    adata.obsm[key_added] = result.vectors
    names, counts = np.unique(batches, return_counts=True)
    write_provenance(
        adata,
        "integrate",
        model,
        expression,
        batch_key=batch_key,
        key_added=key_added,
        batches=names.tolist(),
        cells=counts.tolist(),
        shared=result.shared_fraction,
        apart=list(result.uncorrected),
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


def _read_batches(obs: pd.DataFrame, key: str) -> "NDArray[np.str_]":
    values = obs[key].astype("object")
    return np.asarray(values.where(values.notna(), NO_BATCH).astype(str), dtype=str)
