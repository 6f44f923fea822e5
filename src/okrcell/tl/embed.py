"""Embed cells in the joint space of cells and texts."""

from typing import TYPE_CHECKING

from okrcell.cells.anndata_checks import check_anndata
from okrcell.tl._anndata import EMBEDDING_KEY, embed_and_store, get_model, read_counts, write_provenance
from okrcell.tl._docs import doc_params

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder
    from okrcell.progress import ProgressOption


@doc_params
def embed(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    layer: str | None = None,
    orthologs: bool = False,
    species: str | None = None,
    key_added: str = EMBEDDING_KEY,
    progress: "ProgressOption" = None,
) -> None:
    """Embed cells in the joint space of cells and texts.

    Parameters
    ----------
    {adata}
    {model}
    layer : str, optional
        Matrix to read: the name of a layer, "X" or "raw". By default the matrix that is nearest to raw counts.
    {orthologs}
    {species}
    key_added : str, default "X_okrcell"
        Slot of ``obsm`` to write. The other tools reuse the embeddings in "X_okrcell" only.
    {progress}

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``obsm[key_added]`` : float32 array, shape (cell, dim)
            Embedding of each cell, rows of unit length; NaN for a cell without expression of any gene that the model knows. The
            product with a text embedding is the cosine similarity of cell and text.
        ``uns["okrcell"]["vectors"][key_added]`` : str
            sha256 of the model weights.
        ``uns["okrcell"]["vector_inputs"][key_added]`` : dict
            Matrix that was read, and sha256 of its values and genes, of the model and of the embeddings. Later calls reuse the
            embeddings only if all are the same.
        ``uns["okrcell"]["embed"]`` : dict
            {provenance}

    Raises
    ------
    InputError
        {unreadable}

    See Also
    --------
    annotate : Cell types from the embeddings and gene signatures.
    cluster : Clusters from the embeddings and the principal components of the sample.

    Notes
    -----
    The expressed genes of a cell and their quantile bins are its tokens (method 3.1, E2). A transformer encodes them (method
    3.2), and a projector maps the result into the space that cells share with texts, at unit length (method 3.3, E4; the unit
    length is our reconstruction). An embedding depends on the counts of its own cell only, not on the other cells of the file.

    References
    ----------
    .. [1] OKR-CELL, arXiv:2601.05648.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:60].copy()
    >>> model = okr.load()
    >>> okr.tl.embed(adata, model)
    >>> adata.obsm["X_okrcell"].shape == (60, model.dim)
    True
    >>> adata.uns["okrcell"]["embed"]["matrix"]
    'raw'

    Cells and texts are compared by their product:

    >>> similarity = adata.obsm["X_okrcell"] @ model.embed_texts(["B cell"])[0]
    >>> adata.obs["bulk_labels"].iloc[similarity.argmax()]
    'CD19+ B'
    """
    check_anndata(adata)
    model = get_model(model)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embed_and_store(adata, model, expression, key_added, progress)
    write_provenance(adata, "embed", model, expression, key_added=key_added, layer=layer or "", orthologs=orthologs)
