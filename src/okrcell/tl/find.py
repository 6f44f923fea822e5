"""Find the cells that a sentence tells of."""

from typing import TYPE_CHECKING

from okrcell.errors import InputError
from okrcell.tl.vectors import chosen_model, expression_of, has_vectors_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


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
    """Tell how well each cell fits a sentence.

    Vectors that `embed` or `annotate` left, by the same model, are used again.

    Parameters
    ----------
    text
        A sentence, a name or a Cell Ontology id.
    key_added
        Name of the column in ``obs``.
    adata, model, layer, orthologs, progress
        As for `embed`.

    Returns
    -------
    None; ``obs[key_added]`` cosine similarity in [-1, 1], NaN for a cell without expression;
    ``uns["okrcell"]["find"]`` the receipt.

    Raises
    ------
    InputError
        If the text is empty, or counts or genes cannot be found.
    """
    from okrcell.tasks.retrieve import match

    model = chosen_model(model)
    if not text.strip():
        raise InputError("The text to search for is empty; write what the cells should be, such as 'B cell'.")
    expression = None if has_vectors_of(adata, model, layer) else expression_of(adata, layer, orthologs=orthologs)
    adata.obs[key_added] = match(vectors_of(adata, model, expression, layer, progress), text, model)
    leave_receipt(
        adata, "find", model, expression, text=text, key_added=key_added, layer=layer or "", orthologs=orthologs
    )
