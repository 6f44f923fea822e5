"""Find the sentences that tell of a cell, or of a group of cells."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.tl.groups import groups_of
from okrcell.tl.vectors import chosen_model, expression_of, has_vectors_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress
    from okrcell.tasks.candidates import Candidate
    from okrcell.tasks.retrieve import Ranking


def find_texts(
    adata: "AnnData",
    model: "Embedder | None" = None,
    texts: Sequence[str] | None = None,
    *,
    groupby: str | None = None,
    top: int = 5,
    layer: str | None = None,
    orthologs: bool = False,
    key_added: str = "okrcell_texts",
    progress: "Progress | None" = None,
) -> None:
    """Rank texts by how well they fit each cell, the best first.

    Vectors that `embed` or `annotate` left, by the same model, are used again.

    Parameters
    ----------
    texts
        Sentences, names or Cell Ontology ids; what means the same is ranked once. None: what the Cell Ontology says of
        each of its cell types, some 3,000.
    groupby
        Column of ``obs``: the texts are ranked for each group too, by their mean match with its cells.
    top
        So many texts for each cell and group; all of them if there are fewer.
    key_added
        Name of the slots.
    adata, model, layer, orthologs, progress
        As for `embed`; progress counts cells, and then texts.

    Returns
    -------
    None; ``obs[key_added]`` the best text, "unknown" for a cell without expression;
    ``obsm[key_added]`` DataFrame (cell, rank "1", "2" ...): cosine similarity of the texts, in [-1, 1], falling, NaN for a cell
    without expression; ``obsm[key_added + "_place"]`` int32 (cell, rank): which of the texts in ``uns["okrcell"]["find_texts"]
    ["texts"]`` that is, counted from 0, or -1;
    ``uns[key_added]``, with ``groupby``: DataFrame with the columns group, rank, text, cell_type_ontology_term_id ("" if the
    words name no type), match; a group without expression has no rows;
    ``uns["okrcell"]["find_texts"]`` the receipt.

    Raises
    ------
    InputError
        If a text is empty, ``top`` is under 1, or the column, counts or genes cannot be found.
    """
    from okrcell.tasks.candidates import candidate_vectors
    from okrcell.tasks.candidates import candidates as read_texts
    from okrcell.tasks.ontology_texts import ontology_types, ontology_vectors
    from okrcell.tasks.retrieve import group_vectors, rank_texts

    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    model = chosen_model(model)
    some = ontology_types() if texts is None else tuple(read_texts(texts))
    group, names = (None, []) if groupby is None else groups_of(adata, groupby)
    expression = None if has_vectors_of(adata, model, layer) else expression_of(adata, layer, orthologs=orthologs)
    cells = vectors_of(adata, model, expression, layer, progress)
    vectors = ontology_vectors(model, progress) if texts is None else candidate_vectors(some, model)

    found = rank_texts(cells, vectors, top)
    words = np.array([*(each.name for each in some), "unknown"], dtype=object)
    adata.obs[key_added] = pd.Categorical(words[found.place[:, 0]])
    ranks = pd.Index([str(rank) for rank in range(1, found.place.shape[1] + 1)])
    adata.obsm[key_added] = pd.DataFrame(found.match, index=adata.obs_names, columns=ranks)
    adata.obsm[f"{key_added}_place"] = found.place
    if group is not None:
        means = group_vectors(cells, group, len(names))
        adata.uns[key_added] = _table(names, rank_texts(means, vectors, top), some)
    elif key_added in adata.uns:
        # Of an earlier ranking by group, whose texts may have been others.
        del adata.uns[key_added]
    leave_receipt(
        adata,
        "find_texts",
        model,
        expression,
        texts=[each.name for each in some],
        texts_named_by="user" if texts is not None else "the Cell Ontology",
        groupby=groupby or "",
        top=top,
        key_added=key_added,
        layer=layer or "",
        orthologs=orthologs,
    )


def _table(names: Sequence[str], found: "Ranking", some: "Sequence[Candidate]") -> pd.DataFrame:
    rows = [
        (names[group], rank + 1, some[place].name, some[place].term_id, float(found.match[group, rank]))
        for group in range(len(names))
        for rank, place in enumerate(found.place[group].tolist())
        if place >= 0
    ]
    columns = pd.Index(["group", "rank", "text", "cell_type_ontology_term_id", "match"])
    table = pd.DataFrame(rows, columns=columns)
    table.index = pd.Index([str(number) for number in range(1, len(table) + 1)], dtype=object)
    return table
