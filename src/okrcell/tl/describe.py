"""Cited descriptions of groups of cells."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from okrcell.cells.anndata_checks import check_anndata
from okrcell.errors import InputError
from okrcell.escaping import escape_markdown
from okrcell.tl._anndata import (
    check_seed,
    evidence_table,
    get_embeddings,
    get_model,
    make_table,
    read_counts,
    read_groups,
    render_citations,
    slot_name,
    to_json,
    write_provenance,
)
from okrcell.tl._docs import doc_params
from okrcell.tl.annotate import predict_cell_types

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder
    from okrcell.progress import ProgressOption
    from okrcell.tasks.describe import GroupDescription


DESCRIPTIONS_KEY = "okrcell_descriptions"


MAX_GENES_ON_PAGE = 10


@doc_params
def describe(
    adata: "AnnData",
    model: "Embedder | None" = None,
    groupby: str = "okrcell_cluster",
    *,
    candidates: Sequence[str] | None = None,
    strict: bool = False,
    knowledge: str | Path | None = None,
    genes: int = 20,
    seed: int = 0,
    layer: str | None = None,
    orthologs: bool = False,
    species: str | None = None,
    progress: "ProgressOption" = None,
) -> None:
    """Describe each group of cells: its likely cell type, its marker genes, and cited sentences.

    Parameters
    ----------
    {adata}
    {model}
    groupby : str, default "okrcell_cluster"
        Column of ``obs`` with clusters or labels. Cells without a value are left out.
    candidates : sequence of str, optional
        Cell types to choose from: names, Cell Ontology ids or free text. By default the Cell Ontology types known to
        the model that fit the sample. Names are resolved as in `annotate`.
    strict : bool, default False
        Raise an error if a candidate is no known cell type, instead of reading it as free text.
    {knowledge_tables}
    genes : int, default 20
        Maximum number of marker genes listed per group; at least 1.
    seed : int, default 0
        Seed of the sampling of cells whose genes are compared, at most 500 per group; from 0 to 2**32 - 1.
    {layer}
    {orthologs}
    {species}
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
    Cells are labelled as by `okrcell.tl.annotate`; the type of a group is the one that most of its cells support, with
    back-off along the Cell Ontology (method 11.6). If the candidates fit less than half of its cells, the group is "unknown",
    and the known type outside the candidates that these resemble is named. If at least three known marker genes of the type
    were measured and the group has none of them, the type is replaced by the nearest broader type whose marker genes it has, or
    by "unknown". These rules are ours. Marker genes are tested by Welch's t-test against all other cells, adjusted after
    Benjamini and Hochberg. Each sentence comes from a template and cites the records it rests on; no language model is used.

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
    from okrcell.knowledge.downloads import KnowledgeFiles
    from okrcell.knowledge.registry import open_sources, unavailable_sources
    from okrcell.tasks.candidates import resolve_candidates_of
    from okrcell.tasks.describe import describe_groups
    from okrcell.tasks.marker_tables import add_available_tables, added_tables

    check_anndata(adata)
    if genes < 1:
        raise InputError(f"genes must be at least 1, but it is {genes}.")
    check_seed(seed)
    model = get_model(model)
    # Check the arguments first, so that a typing error is reported before any cell is embedded.
    group, names = read_groups(adata, groupby)
    obs = pd.DataFrame(adata.obs)
    resolved = None if candidates is None else resolve_candidates_of(obs, candidates, strict=strict)
    files = KnowledgeFiles(knowledge)
    sources, missing_sources = open_sources(None, files), unavailable_sources(files)
    model, remarks = add_available_tables(model, knowledge)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embeddings = get_embeddings(adata, model, expression, progress)
    # The predictions of `okrcell.tl.annotate`, so that both agree on the same cells.
    predicted = predict_cell_types(
        adata, expression, model, None if resolved is None else resolved.candidates, embeddings, seed
    )
    descriptions = describe_groups(
        expression,
        embeddings,
        group,
        names,
        predicted,
        model,
        sources,
        obs=obs,
        max_genes=genes,
        seed=seed,
    )
    adata.uns[DESCRIPTIONS_KEY] = {slot_name(item.group): _to_slot(item) for item in descriptions}
    write_provenance(
        adata,
        "describe",
        model,
        expression,
        remarks=remarks,
        knowledge=added_tables(model),
        groupby=groupby,
        groups=names,
        cells_without_group=int((group < 0).sum()),
        candidates=[item.name for item in predicted.candidates],
        candidates_named_by="user" if candidates is not None else "the model, out of the types that it knows",
        candidates_resolved=[] if resolved is None else list(resolved.remarks),
        sources=[f"{source.name}: {source.snapshot}" for source in sources],
        absent_sources=sorted(missing_sources),
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


def _to_slot(description: "GroupDescription") -> dict[str, Any]:
    """Convert a description to strings, numbers and DataFrames that an h5ad file can store."""
    evidence = list(dict.fromkeys(record for sentence in description.sentences for record in sentence.evidence))
    number_of = {record: i for i, record in enumerate(evidence, start=1)}
    cited_numbers = [[number_of[record] for record in sentence.evidence] for sentence in description.sentences]
    cited_sentences = [
        f"{sentence.text} [{', '.join(map(str, numbers))}]" if numbers else sentence.text
        for sentence, numbers in zip(description.sentences, cited_numbers, strict=True)
    ]
    return {
        "text": " ".join(cited_sentences),
        "cell_type": description.name,
        "cell_type_ontology_term_id": description.term_id,
        "status": description.status,
        "share": description.vote.fraction,
        "cells": description.n_cells,
        "without_expression": description.without_expression,
        "types": make_table(
            ("cell_type", "cell_type_ontology_term_id", "share", "probability", "match"),
            [
                (cell_type.name, cell_type.term_id, cell_type.fraction, cell_type.probability, cell_type.similarity)
                for cell_type in description.types
            ],
        ),
        "genes": make_table(
            ("gene", "log2_fold", "inside", "outside", "p"),
            [(gene.symbol, gene.log2_fold, gene.inside, gene.outside, gene.p_adjusted) for gene in description.genes],
        ),
        "sentences": make_table(
            ("number", "sentence", "evidence"),
            [
                (i, sentence.text, ", ".join(map(str, numbers)))
                for i, (sentence, numbers) in enumerate(zip(description.sentences, cited_numbers, strict=True), start=1)
            ],
        ),
        "evidence": evidence_table(evidence),
    }


def descriptions_page(adata: "AnnData") -> str:
    """Render the result of `okrcell.tl.describe` as Markdown.

    Parameters
    ----------
    adata : AnnData
        Cells with ``uns["okrcell_descriptions"]``. It is not changed.

    Returns
    -------
    str
        One section per group, in the order of the groups: text, likely types, up to ten marker genes, and the cited records.
        Records longer than 240 characters are cut.

    Raises
    ------
    InputError
        If ``uns`` has no descriptions. Run `okrcell.tl.describe` first.

    See Also
    --------
    descriptions_json : The same as JSON, with complete records.

    Notes
    -----
    The text is that of `okrcell.tl.describe`; nothing is computed here.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:60].copy()
    >>> okr.tl.describe(adata, groupby="bulk_labels", candidates=["T cell", "B cell", "monocyte"])
    >>> page = okr.tl.descriptions_page(adata)
    >>> page.splitlines()[0]
    '# Groups of bulk_labels'
    >>> "## CD19+ B: B cell (CL:0000236)" in page
    True
    """
    record, descriptions = _read_descriptions(adata)
    lines = [
        f"# Groups of {escape_markdown(record['groupby'])}",
        "",
        f"{record['input']['cells']:,} cells; model {escape_markdown(record['model'])}; "
        f"{len(record['candidates'])} candidate types (source: {record['candidates_named_by']}). "
        "The share of cells is the fraction of a group whose nearest candidate is the type; the mean probability "
        "is the average over its cells of the probability of the type.",
    ]
    for name, description in descriptions.items():
        lines += ["", *_render_description(name, description)]
    return "\n".join(lines)


def descriptions_json(adata: "AnnData") -> str:
    """Serialize the result of `okrcell.tl.describe` as JSON.

    Parameters
    ----------
    adata : AnnData
        Cells with ``uns["okrcell_descriptions"]``. It is not changed.

    Returns
    -------
    str
        JSON object with two keys: "receipt", the provenance record, and "groups", the entries of
        ``uns["okrcell_descriptions"]`` by group, in the order of the groups. Tables are lists of rows; NaN becomes null.

    Raises
    ------
    InputError
        If ``uns`` has no descriptions. Run `okrcell.tl.describe` first.

    See Also
    --------
    descriptions_page : The same as Markdown.

    Notes
    -----
    The content is that of `okrcell.tl.describe`; nothing is computed here.

    Examples
    --------
    >>> import json
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:60].copy()
    >>> okr.tl.describe(adata, groupby="bulk_labels", candidates=["T cell", "B cell", "monocyte"])
    >>> result = json.loads(okr.tl.descriptions_json(adata))
    >>> list(result)
    ['receipt', 'groups']
    >>> result["groups"]["CD19+ B"]["cell_type"]
    'B cell'
    """
    record, descriptions = _read_descriptions(adata)
    return json.dumps(
        to_json({"receipt": record, "groups": descriptions}), indent=2, ensure_ascii=False, allow_nan=False
    )


def _read_descriptions(adata: "AnnData") -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
    if DESCRIPTIONS_KEY not in adata.uns:
        raise InputError(f"There is no uns['{DESCRIPTIONS_KEY}']. Run okrcell.tl.describe first.")
    record = adata.uns["okrcell"]["describe"]
    # An h5ad file stores uns in alphabetical order; the provenance record keeps the order of the groups.
    return record, {str(name): adata.uns[DESCRIPTIONS_KEY][slot_name(str(name))] for name in record["groups"]}


def _render_description(name: str, description: Mapping[str, Any]) -> Iterator[str]:
    term = (
        f" ({escape_markdown(description['cell_type_ontology_term_id'])})"
        if description["cell_type_ontology_term_id"]
        else ""
    )
    prefix = {"confident": "", "broad": "some kind of "}.get(str(description["status"]), "")
    yield f"## {escape_markdown(name)}: {prefix}{escape_markdown(description['cell_type'])}{term}"
    yield ""
    yield escape_markdown(description["text"])
    types = description["types"]
    if len(types):
        yield ""
        yield "| likely type | id | share of cells | mean probability |"
        yield "|---|---|---:|---:|"
        for row in types.to_dict("records"):
            label = f"{escape_markdown(row['cell_type'])} | {escape_markdown(row['cell_type_ontology_term_id'])}"
            yield f"| {label} | {row['share']:.0%} | {row['probability']:.2f} |"
    genes = description["genes"].head(MAX_GENES_ON_PAGE)
    if len(genes):
        yield ""
        yield "| gene | log2 fold change | cells in the group | cells outside |"
        yield "|---|---:|---:|---:|"
        for row in genes.to_dict("records"):
            yield f"| {escape_markdown(row['gene'])} | {row['log2_fold']:.1f} | {row['inside']:.0%} | {row['outside']:.0%} |"
    yield ""
    yield from render_citations(description["evidence"])
