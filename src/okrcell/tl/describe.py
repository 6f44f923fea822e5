"""Cited descriptions of groups of cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from okrcell.errors import InputError
from okrcell.tl._docs import doc_params
from okrcell.tl.groups import groups_of
from okrcell.tl.seeds import check_seed
from okrcell.tl.tables import slot_name, table, table_of_records
from okrcell.tl.vectors import chosen_model, expression_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress
    from okrcell.tasks.describe import GroupDescription

DESCRIPTIONS = "okrcell_descriptions"


@doc_params
def describe(
    adata: "AnnData",
    model: "Embedder | None" = None,
    groupby: str = "okrcell_cluster",
    *,
    candidates: Sequence[str] | None = None,
    knowledge: str | Path | None = None,
    genes: int = 20,
    seed: int = 0,
    layer: str | None = None,
    orthologs: bool = False,
    progress: "Progress | None" = None,
) -> None:
    """Describe each group of cells: its likely cell type, its marker genes, and cited sentences.

    Parameters
    ----------
    {adata}
    {model}
    groupby : str, default "okrcell_cluster"
        Column of ``obs`` with clusters or labels. Cells without a value are left out.
    candidates : sequence of str, optional
        Cell types to choose from: names, Cell Ontology ids or free text. By default all Cell Ontology types that the model was
        trained on.
    {knowledge}
    genes : int, default 20
        Maximum number of marker genes listed per group; at least 1.
    seed : int, default 0
        Seed of the sampling of cells whose genes are compared, at most 500 per group; from 0 to 2**32 - 1.
    {layer}
    {orthologs}
    {progress}

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``uns["okrcell_descriptions"]`` : dict of dict
            One entry per group. In its key "/" becomes "|", and "(empty)" stands for "". Each entry has:

            - ``text`` (str): all sentences, with the numbers of the cited records in brackets
            - ``cell_type``, ``cell_type_ontology_term_id`` (str): the likely type; "unknown" and "" if none is likely
            - ``status`` (str): "confident" for one candidate, "broad" for a broader type, or "unknown"
            - ``share`` (float): fraction of the cells in [0, 1] whose nearest candidate is of that type
            - ``cells``, ``without_expression`` (int): number of cells, and of those without expression
            - ``types`` (DataFrame): likeliest candidates; cell_type, cell_type_ontology_term_id, share (fraction of cells),
              probability (mean, in [0, 1]), match (mean cosine similarity)
            - ``genes`` (DataFrame): marker genes; gene, log2_fold, inside, outside (fraction of cells in and outside the group
              that express it), p (adjusted)
            - ``sentences`` (DataFrame): number, sentence, evidence (cited numbers, such as "1, 3")
            - ``evidence`` (DataFrame): number, source, record, snapshot, licence, text, sha256
        {embedding_slot}
        ``uns["okrcell"]["describe"]`` : dict
            {provenance}
            It also lists the knowledge sources that were used and those whose files are missing.

    Raises
    ------
    InputError
        If ``genes`` is below 1, the column ``groupby`` is missing or is no grouping, a candidate is empty or its id does not
        exist, or the knowledge files cannot be read.
        {bad_seed}
        {unreadable}

    See Also
    --------
    descriptions_page : The descriptions as Markdown.
    descriptions_json : The descriptions as JSON.
    explain : Genes behind the annotation of a group.
    okrcell.enrich : Cited descriptions of the profiles of a study.

    Notes
    -----
    The type of a group is a majority vote of the nearest candidates of its cells, with back-off along the Cell Ontology where
    no candidate has half of the votes (method 11.6). Two checks follow, all ours: if most cells match another type known to the
    model at least twice as well as the best candidate, the group is "unknown"; if at least three known marker genes of the type
    were measured and the group has none of them, the type is replaced by the nearest broader type whose marker genes it has, or
    by "unknown". Marker genes are tested by Welch's t-test against all other cells, adjusted after Benjamini and Hochberg. Each
    sentence comes from a template and cites the records it rests on; no language model is used.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.describe(adata, model, "bulk_labels", candidates=["T cell", "B cell", "monocyte"])
    >>> described = adata.uns["okrcell_descriptions"]["CD19+ B"]
    >>> described["cell_type"], described["cell_type_ontology_term_id"]
    ('B cell', 'CL:0000236')
    >>> described["sentences"].columns.tolist()
    ['number', 'sentence', 'evidence']
    """
    from okrcell.knowledge.snapshots import KnowledgeFiles
    from okrcell.knowledge.sources.registry import absent_sources, open_sources
    from okrcell.tasks.candidates import candidates as read_candidates
    from okrcell.tasks.candidates import known_candidates
    from okrcell.tasks.describe import describe_groups
    from okrcell.tasks.ontology_texts import seen_types

    if genes < 1:
        raise InputError(f"genes must be at least 1, but it is {genes}.")
    check_seed(seed)
    model = chosen_model(model)
    # Check the arguments first, so that a typing error is reported before any cell is embedded.
    group, names = groups_of(adata, groupby)
    some = known_candidates(model) if candidates is None else read_candidates(candidates)
    files = KnowledgeFiles(knowledge)
    sources, absent = open_sources(None, files), absent_sources(files)
    expression = expression_of(adata, layer, orthologs=orthologs)
    cells = vectors_of(adata, model, expression, layer, progress)
    described = describe_groups(
        expression,
        cells,
        group,
        names,
        some,
        model,
        sources,
        known=() if candidates is None else seen_types(model),
        obs=pd.DataFrame(adata.obs),
        most_genes=genes,
        seed=seed,
    )
    adata.uns[DESCRIPTIONS] = {slot_name(each.group): _slot(each) for each in described}
    leave_receipt(
        adata,
        "describe",
        model,
        expression,
        groupby=groupby,
        groups=names,
        cells_without_group=int((group < 0).sum()),
        candidates=[each.name for each in some],
        candidates_named_by="user" if candidates is not None else "the model's own cell types",
        sources=[f"{source.name}: {source.snapshot}" for source in sources],
        absent_sources=sorted(absent),
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


def _slot(of: "GroupDescription") -> dict[str, Any]:
    """Convert a description to strings, numbers and DataFrames that an h5ad file can store."""
    evidence = list(dict.fromkeys(piece for said in of.sentences for piece in said.evidence))
    number = {piece: place for place, piece in enumerate(evidence, start=1)}
    rests_on = [[number[piece] for piece in said.evidence] for said in of.sentences]
    marked = [
        f"{said.text} [{', '.join(map(str, numbers))}]" if numbers else said.text
        for said, numbers in zip(of.sentences, rests_on, strict=True)
    ]
    return {
        "text": " ".join(marked),
        "cell_type": of.name,
        "cell_type_ontology_term_id": of.term_id,
        "status": of.status,
        "share": of.vote.share,
        "cells": of.cells,
        "without_expression": of.without_expression,
        "types": table(
            ("cell_type", "cell_type_ontology_term_id", "share", "probability", "match"),
            [(each.name, each.term_id, each.share, each.probability, each.match) for each in of.types],
        ),
        "genes": table(
            ("gene", "log2_fold", "inside", "outside", "p"),
            [(gene.symbol, gene.log2_fold, gene.inside, gene.outside, gene.p) for gene in of.genes],
        ),
        "sentences": table(
            ("number", "sentence", "evidence"),
            [
                (place, said.text, ", ".join(map(str, numbers)))
                for place, (said, numbers) in enumerate(zip(of.sentences, rests_on, strict=True), start=1)
            ],
        ),
        "evidence": table_of_records(evidence),
    }
