"""Give cells their vectors."""

from typing import TYPE_CHECKING

from okrcell.tl.vectors import VECTORS, chosen_model, embedded, expression_of, leave_receipt

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


def embed(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    layer: str | None = None,
    orthologs: bool = False,
    key_added: str = VECTORS,
    progress: "Progress | None" = None,
) -> None:
    """Give each cell its vector in the space of cells and texts.

    Parameters
    ----------
    adata
        Counts in X, ``.raw`` or a layer; symbols or Ensembl ids. Rows are neither dropped nor moved.
    model
        From `okrcell.load`; the bundled one by default.
    layer
        Which matrix to read: a layer, "X" or "raw". By default the one nearest to counts.
    orthologs
        Accept mouse genes, each led to its one-to-one human ortholog.
    key_added
        Name of the slot in ``obsm``.
    progress
        Called with the number of cells done and in all.

    Returns
    -------
    None; ``obsm[key_added]`` float32 (cell, dim), rows of unit length, NaN for a cell without expression;
    ``uns["okrcell"]["embed"]`` the receipt.

    Raises
    ------
    InputError
        If counts or genes cannot be found; the message says what to do.
    """
    model = chosen_model(model)
    expression = expression_of(adata, layer, orthologs=orthologs)
    embedded(adata, model, expression, key_added, progress)
    leave_receipt(adata, "embed", model, expression, key_added=key_added, layer=layer or "", orthologs=orthologs)
