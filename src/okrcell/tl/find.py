"""Text-to-cell retrieval."""

from typing import TYPE_CHECKING

from okrcell.errors import InputError
from okrcell.tl._docs import doc_params
from okrcell.tl._anndata import get_embeddings, get_model, has_embeddings, read_counts, write_provenance

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


@doc_params
def find_cells(
    adata: "AnnData",
    model: "Embedder | None" = None,
    text: str = "",
    *,
    layer: str | None = None,
    orthologs: bool = False,
    key_added: str = "okrcell_match",
    progress: "Progress | None" = None,
) -> None:
    """Compute the cosine similarity of each cell to a text.

    Parameters
    ----------
    {adata}
    {model}
    text : str
        Sentence, cell type name or Cell Ontology id such as "CL:0000236". Required: an empty text raises an error.
    {layer}
    {orthologs}
    key_added : str, default "okrcell_match"
        Column of ``obs`` to write.
    {progress}

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``obs[key_added]`` : float32
            Cosine similarity of cell and text, in [-1, 1]; NaN for a cell without expression.
        {embedding_slot}
        ``uns["okrcell"]["find"]`` : dict
            {provenance}

    Raises
    ------
    InputError
        If the text is empty, or is a Cell Ontology id that does not exist.
        {unreadable}

    See Also
    --------
    find_texts : The opposite direction, texts for cells.
    okrcell.pl.match : Plot the similarity on an embedding.

    Notes
    -----
    Cell and text are embedded in the same space (method 3.3, E4). A name or id that resolves to a Cell Ontology term is
    represented by the mean of several texts about it; any other text by itself. The similarity is a ranking score, not a
    probability: its level differs between texts.

    References
    ----------
    .. [1] OKR-CELL, arXiv:2601.05648.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:80].copy()
    >>> model = okr.load()
    >>> okr.tl.find_cells(adata, model, "a lymphocyte that makes antibodies")
    >>> adata.obs["okrcell_match"].between(-1, 1).all().item()
    True
    >>> adata.obs.groupby("bulk_labels", observed=True)["okrcell_match"].mean().idxmax()
    'CD19+ B'
    """
    from okrcell.tasks.retrieval import text_similarity

    model = get_model(model)
    if not text.strip():
        raise InputError("The text to search for is empty. Pass a description of the cells, such as 'B cell'.")
    expression = None if has_embeddings(adata, model, layer) else read_counts(adata, layer, orthologs=orthologs)
    adata.obs[key_added] = text_similarity(get_embeddings(adata, model, expression, layer, progress), text, model)
    write_provenance(
        adata, "find", model, expression, text=text, key_added=key_added, layer=layer or "", orthologs=orthologs
    )
