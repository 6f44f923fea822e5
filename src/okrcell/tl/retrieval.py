"""Cell-to-text retrieval."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_anndata
from okrcell.errors import InputError
from okrcell.progress import progress_bar
from okrcell.tl._anndata import get_embeddings, get_model, read_counts, read_groups, write_provenance
from okrcell.tl._docs import doc_params

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder
    from okrcell.progress import ProgressOption
    from okrcell.tasks.candidates import Candidate
    from okrcell.tasks.retrieval import TextRanking


@doc_params
def find_cells(
    adata: "AnnData",
    model: "Embedder | None" = None,
    text: str = "",
    *,
    strict: bool = False,
    layer: str | None = None,
    orthologs: bool = False,
    species: str | None = None,
    key_added: str = "okrcell_match",
    progress: "ProgressOption" = None,
) -> None:
    """Compute the cosine similarity of each cell to a text.

    Parameters
    ----------
    {adata}
    {model}
    text : str
        Sentence, cell type name or Cell Ontology id such as "CL:0000236". A name is resolved as by `standardise`. Required: an
        empty text raises an error.
    strict : bool, default False
        Raise an error if the text is no known cell type, instead of searching for it as free text.
    {layer}
    {orthologs}
    {species}
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
        If the text is empty, or is a Cell Ontology id that does not exist; with ``strict``, if it is no known cell type.
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
    from okrcell.ontology.obs_profile import single_tissue
    from okrcell.tasks.retrieval import query_findings, resolve_query, text_similarity

    check_anndata(adata)
    model = get_model(model)
    if not text.strip():
        raise InputError("The text to search for is empty. Pass a description of the cells, such as 'B cell'.")
    query = resolve_query(text, single_tissue(pd.DataFrame(adata.obs)), strict=strict)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embeddings = get_embeddings(adata, model, expression, progress)
    adata.obs[key_added] = text_similarity(embeddings, query.texts, model)
    write_provenance(
        adata,
        "find",
        model,
        expression,
        text=text,
        text_resolved=query.remark,
        cell_type_ontology_term_id=query.term_id,
        key_added=key_added,
        layer=layer or "",
        orthologs=orthologs,
    )
    if not query.term_id:
        adata.uns["okrcell"]["find"]["findings"] += query_findings(text, model)


@doc_params
def find_texts(
    adata: "AnnData",
    model: "Embedder | None" = None,
    texts: Sequence[str] | None = None,
    *,
    groupby: str | None = None,
    top: int = 5,
    layer: str | None = None,
    orthologs: bool = False,
    species: str | None = None,
    key_added: str = "okrcell_texts",
    progress: "ProgressOption" = None,
) -> None:
    """Rank texts by their cosine similarity to each cell, and optionally to each group of cells.

    Parameters
    ----------
    {adata}
    {model}
    texts : sequence of str, optional
        Sentences, cell type names or Cell Ontology ids. Texts that resolve to the same term are ranked once. By default the
        texts of all cell types in the Cell Ontology, about 3,000.
    groupby : str, optional
        Column of ``obs`` with clusters or labels. If given, the texts are also ranked for each group, by the mean similarity of
        its cells.
    top : int, default 5
        Number of texts per cell and per group; at least 1. If there are fewer texts, all are ranked.
    {layer}
    {orthologs}
    {species}
    key_added : str, default "okrcell_texts"
        Name of the slots to write.
    progress : bool or callable, optional
        Show a bar on stderr. By default only if stderr is a terminal; True always, False never. A function is called instead,
        as ``progress(done, total)``, first with numbers of cells embedded, then with numbers of texts embedded.

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``obs[key_added]`` : categorical
            Text with the highest similarity; "unknown" for a cell without expression.
        ``obsm[key_added]`` : DataFrame of float32, shape (cell, top)
            Cosine similarity of the ranked texts in [-1, 1], in descending order, with the columns "1", "2" ...; NaN for a cell
            without expression.
        ``obsm[key_added + "_place"]`` : int32 array, shape (cell, top)
            Index of the ranked texts in ``uns["okrcell"]["find_texts"]["texts"]``, from 0; -1 for a cell without expression.
        ``uns[key_added]`` : DataFrame
            Only with ``groupby``: columns group, rank, text, cell_type_ontology_term_id ("" if the text matches no term) and
            match (mean cosine similarity). A group without expression has no rows. Without ``groupby``, an earlier table is
            removed.
        {embedding_slot}
        ``uns["okrcell"]["find_texts"]`` : dict
            {provenance}

    Raises
    ------
    InputError
        If a text is empty, ``top`` is below 1, or the column ``groupby`` is missing or is no grouping.
        {unreadable}

    See Also
    --------
    find_cells : The opposite direction, cells for one text.
    okrcell.pl.retrieval : Plot the ranking by group.

    Notes
    -----
    Cells and texts are compared in their joint space (method 3.3, E4). Equal similarities keep the order of the texts. Cells
    are processed in blocks, so memory is bounded by the size of the result. The similarity is a ranking score, not a
    probability.

    References
    ----------
    .. [1] OKR-CELL, arXiv:2601.05648.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:80].copy()
    >>> model = okr.load()
    >>> texts = ["B cell", "monocyte", "natural killer cell"]
    >>> okr.tl.find_texts(adata, model, texts, groupby="bulk_labels", top=2)
    >>> adata.obsm["okrcell_texts"].shape
    (80, 2)
    >>> ranking = adata.uns["okrcell_texts"]
    >>> ranking.loc[ranking["group"] == "CD19+ B", ["rank", "text"]].values.tolist()[0]
    [1, 'B cell']
    """
    from okrcell.ontology.obs_profile import single_tissue
    from okrcell.tasks.candidates import candidate_vectors, ontology_types, ontology_vectors
    from okrcell.tasks.candidates import parse_candidates as read_texts
    from okrcell.tasks.retrieval import group_vectors, rank_texts

    check_anndata(adata)
    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    model = get_model(model)
    tissue_id = single_tissue(pd.DataFrame(adata.obs))
    parsed_texts = ontology_types() if texts is None else tuple(read_texts(texts, tissue_id))
    group, group_names = (None, []) if groupby is None else read_groups(adata, groupby)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embeddings = get_embeddings(adata, model, expression, progress)
    with progress_bar("Embedding texts", progress) as report:
        text_embeddings = ontology_vectors(model, report) if texts is None else candidate_vectors(parsed_texts, model)

    ranking = rank_texts(embeddings, text_embeddings, top)
    names_or_unknown = np.array([*(item.name for item in parsed_texts), "unknown"], dtype=object)
    adata.obs[key_added] = pd.Categorical(names_or_unknown[ranking.indices[:, 0]])
    ranks = pd.Index([str(rank) for rank in range(1, ranking.indices.shape[1] + 1)])
    adata.obsm[key_added] = pd.DataFrame(ranking.similarity, index=adata.obs_names, columns=ranks)
    adata.obsm[f"{key_added}_place"] = ranking.indices
    if group is not None:
        group_embeddings = group_vectors(embeddings, group, len(group_names))
        adata.uns[key_added] = _group_table(
            group_names, rank_texts(group_embeddings, text_embeddings, top), parsed_texts
        )
    elif key_added in adata.uns:
        # Remove the group ranking of an earlier call, whose texts may differ.
        del adata.uns[key_added]
    write_provenance(
        adata,
        "find_texts",
        model,
        expression,
        texts=[item.name for item in parsed_texts],
        texts_named_by="user" if texts is not None else "the Cell Ontology",
        groupby=groupby or "",
        top=top,
        key_added=key_added,
        layer=layer or "",
        orthologs=orthologs,
    )


def _group_table(group_names: Sequence[str], ranking: "TextRanking", texts: "Sequence[Candidate]") -> pd.DataFrame:
    rows = [
        (group_names[group], rank + 1, texts[index].name, texts[index].term_id, float(ranking.similarity[group, rank]))
        for group in range(len(group_names))
        for rank, index in enumerate(ranking.indices[group].tolist())
        if index >= 0
    ]
    columns = pd.Index(["group", "rank", "text", "cell_type_ontology_term_id", "match"])
    table = pd.DataFrame(rows, columns=columns)
    table.index = pd.Index([str(i) for i in range(1, len(table) + 1)], dtype=object)
    return table
