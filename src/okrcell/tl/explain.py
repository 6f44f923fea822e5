"""Gene contributions to zero-shot annotations."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import check_anndata
from okrcell.errors import InputError
from okrcell.escaping import escape_markdown
from okrcell.progress import progress_bar
from okrcell.tl._anndata import (
    evidence_table,
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
from okrcell.tl._stored_annotation import (
    CELL_TYPE_KEY,
    add_tables_of_annotation,
    best_candidate_indices,
    get_or_annotate,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.evidence import Evidence
    from okrcell.model.embedder import Embedder
    from okrcell.progress import ProgressOption
    from okrcell.tasks.explain import ExplainingGene, Explanation


GENE_COLUMNS = (
    "gene", "speaks", "contribution", "relative", "expected", "runner_up_expected", "inside", "outside", "source", "evidence",
)  # fmt: skip


EXPLANATIONS_KEY = "okrcell_explanations"
MAX_CELLS = 1000
"""Maximum number of single cells in one call of `explain`."""
TABLE_HEADINGS = (
    "gene", "for or against", "contribution", "relative expression", "expected", "expected by the runner-up", "cells inside",
    "cells outside", "source", "records",
)  # fmt: skip


def explanation_to_slot(explanation: "Explanation", confidence: "NDArray[np.float64]") -> dict[str, Any]:
    """Convert the explanation of one group or cell to the entry that `okrcell.tl.explain` documents.

    Parameters
    ----------
    explanation
        Explanation of the group or cell.
    confidence
        Confidence of each cell of the group, shape (cell,), in [0, 1].
    """
    records = list(dict.fromkeys(record for gene in explanation.genes for record in gene.records))
    number_of = {record: i for i, record in enumerate(records, start=1)}
    return {
        "cell_type": "unknown" if explanation.prediction is None else explanation.prediction.name,
        "cell_type_ontology_term_id": "" if explanation.prediction is None else explanation.prediction.term_id,
        "share": explanation.fraction,
        "confidence": float(confidence.mean()) if len(confidence) else float("nan"),
        "runner_up": "" if explanation.runner_up is None else explanation.runner_up.name,
        "runner_up_ontology_term_id": "" if explanation.runner_up is None else explanation.runner_up.term_id,
        "score": explanation.scores[0],
        "runner_up_score": explanation.scores[1],
        "cells": explanation.n_cells,
        "without_expression": explanation.without_expression,
        "genes": make_table(GENE_COLUMNS, [_gene_row(gene, number_of) for gene in explanation.genes]),
        "evidence": evidence_table(records),
    }


def _gene_row(gene: "ExplainingGene", number_of: "Mapping[Evidence, int]") -> tuple[Any, ...]:
    entry = gene.contribution
    return (
        gene.symbol,
        "for" if gene.supports_prediction else "against",
        entry.value,
        entry.relative_expression,
        entry.predicted_weight,
        entry.runner_up_weight,
        gene.inside,
        gene.outside,
        entry.source,
        ", ".join(str(number_of[record]) for record in gene.records),
    )


@doc_params
def explain(
    adata: "AnnData",
    model: "Embedder | None" = None,
    groupby: str | None = None,
    *,
    cells: Sequence[str] | None = None,
    candidates: Sequence[str] | None = None,
    strict: bool = False,
    top: int = 20,
    knowledge: str | Path | None = None,
    layer: str | None = None,
    orthologs: bool = False,
    species: str | None = None,
    progress: "ProgressOption" = None,
) -> None:
    """List the genes that support a zero-shot annotation, and those that support the runner-up.

    Parameters
    ----------
    {adata}
    {model}
    groupby : str, optional
        Column of ``obs`` with clusters or labels. By default the annotated cell types, ``obs["okrcell_cell_type"]``.
    cells : sequence of str, optional
        Names of single cells to explain instead of groups, from ``obs_names``; at most 1,000.
    candidates : sequence of str, optional
        Cell types to choose from: names, Cell Ontology ids or free text. By default those of the stored annotation.
    strict : bool, default False
        Raise an error if a candidate is no known cell type, instead of reading it as free text.
    top : int, default 20
        Number of genes per group or cell, for and against together; at least 1.
    {knowledge_tables}
        An annotation that was made without these tables is explained without them, and the tables are only cited.
    {layer}
    {orthologs}
    {species}
    progress : bool or callable, optional
        Show a bar on stderr. By default only if stderr is a terminal; True always, False never. A function is called instead,
        as ``progress(done, total)``, with numbers of cells if they are annotated first, then with numbers of groups.

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``uns["okrcell_explanations"]`` : dict of dict
            One entry per group or cell. In its key "/" becomes "|", and "(empty)" stands for "". Each entry has:

            - ``cell_type``, ``cell_type_ontology_term_id`` (str): the most frequent annotation; "unknown" and "" if no cell has
              expression
            - ``share`` (float): fraction of the cells with that annotation, in [0, 1]
            - ``confidence`` (float): mean confidence of the cells
            - ``runner_up``, ``runner_up_ontology_term_id`` (str): candidate with the next highest mean score; "" with one
              candidate
            - ``score``, ``runner_up_score`` (float): mean scores of both
            - ``cells``, ``without_expression`` (int): number of cells, and of those without expression
            - ``genes`` (DataFrame): by descending absolute contribution; gene; speaks ("for" or "against"); contribution (above
              0 supports the annotation); relative (mean relative expression, in standard deviations from the background);
              expected, runner_up_expected (weights in the two signatures); inside, outside (fraction of cells in and outside
              the group that express it); source ("marker tables", "cells of the corpus" or "both"); evidence (numbers of
              records, such as "1, 3")
            - ``evidence`` (DataFrame): records of marker tables; number, source, record, snapshot, licence, text, sha256
        ``uns["okrcell"]["explain"]`` : dict
            {provenance}

        If there is no zero-shot annotation by this model, with these candidates and this layer, the cells are annotated first,
        and the slots of `annotate` are written too.

    Raises
    ------
    InputError
        If both ``groupby`` and ``cells`` are given; ``top`` is below 1; the cells were annotated from a reference or examples
        and ``candidates`` is None, or with other marker tables than those of ``knowledge``; the model has no signatures; or the
        column, cells, candidates (with ``strict``, one of them) or knowledge files cannot be used.
        {unreadable}

    See Also
    --------
    annotate : The annotation that is explained.
    okrcell.pl.explanation : Plot the genes of one group.
    explanations_page : The explanations as Markdown.
    explanations_json : The explanations as JSON.

    Notes
    -----
    The contribution of a gene is its relative expression times the difference of its weights in the signatures of the
    annotation and of the runner-up. The signature score is linear, so the contributions of all genes sum to the margin between
    the two (ours, method 11.3). The part of a score that comes from text similarity (method 11.4) or from neighbours (method
    11.5) is not explained.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:80].copy()
    >>> model = okr.load()
    >>> okr.tl.annotate(adata, model, candidates=["T cell", "B cell", "monocyte"])
    >>> okr.tl.explain(adata, model, top=10)
    >>> explanation = adata.uns["okrcell_explanations"]["B cell"]
    >>> explanation["runner_up"] in {"T cell", "monocyte"}
    True
    >>> "CD79A" in set(explanation["genes"]["gene"])
    True
    """
    from okrcell.knowledge.downloads import KnowledgeFiles
    from okrcell.knowledge.registry import open_sources, unavailable_sources
    from okrcell.tasks.explain import explain_groups
    from okrcell.tasks.marker_tables import added_tables

    check_anndata(adata)
    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    if groupby is not None and cells is not None:
        raise InputError(
            "groupby and cells are both given, but either groups or single cells are explained, not both. Leave one out."
        )
    model = get_model(model)
    cell_indices = None if cells is None else _index_cells(adata, cells)
    column = CELL_TYPE_KEY if groupby is None else groupby
    # Check the arguments before the cells are annotated; the default column may not exist until then.
    grouped = read_groups(adata, column) if cell_indices is None and column != CELL_TYPE_KEY else None
    files = KnowledgeFiles(knowledge)
    sources, missing_sources = open_sources(None, files), unavailable_sources(files)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    model, remarks = add_tables_of_annotation(adata, model, expression, candidates, knowledge, strict=strict)
    options = {"layer": layer, "orthologs": orthologs, "species": species, "progress": progress}
    parsed_candidates = get_or_annotate(adata, model, expression, candidates, strict=strict, **options)
    scores = np.asarray(adata.obsm["okrcell_scores"], dtype=np.float32)
    best = best_candidate_indices(adata, parsed_candidates)
    if cell_indices is not None:
        group, names = cell_indices, [str(name) for name in cells or ()]
    else:
        group, names = read_groups(adata, column) if grouped is None else grouped
    with progress_bar("Explaining", progress) as report:
        explanations = explain_groups(
            expression, group, names, parsed_candidates, scores, best, model, sources=sources, top=top, progress=report
        )
    confidence = np.asarray(adata.obs["okrcell_confidence"], dtype=np.float64)
    adata.uns[EXPLANATIONS_KEY] = {
        slot_name(item.group): explanation_to_slot(item, confidence[group == i]) for i, item in enumerate(explanations)
    }
    write_provenance(
        adata,
        "explain",
        model,
        expression,
        remarks=remarks,
        knowledge=added_tables(model),
        groupby=column if cell_indices is None else "",
        explained=names,
        cells_left_out=int((group < 0).sum()),
        candidates=[item.name for item in parsed_candidates],
        top=top,
        sources=[f"{source.name}: {source.snapshot}" for source in sources],
        absent_sources=sorted(missing_sources),
        layer=layer or "",
        orthologs=orthologs,
    )


def _index_cells(adata: "AnnData", cells: Sequence[str]) -> "NDArray[np.intp]":
    """Return for each cell its index in ``cells``, -1 for a cell that is not in it."""
    if isinstance(cells, str):
        raise InputError(f"cells must be a list of names, but it is the string '{cells}'. Pass ['{cells}'].")
    requested = [str(name) for name in cells]
    if not requested:
        raise InputError("cells is an empty list. Pass at least one name, or leave it out.")
    if len(requested) > MAX_CELLS:
        raise InputError(
            f"cells has {len(requested):,} names, but at most {MAX_CELLS:,} single cells can be explained. Use groupby."
        )
    if len(set(requested)) < len(requested):
        duplicate = next(name for name in requested if requested.count(name) > 1)
        raise InputError(f"The cell '{duplicate}' is named twice in cells. Pass each name once.")
    index_of = {name: i for i, name in enumerate(requested)}
    group = np.array([index_of.get(str(name), -1) for name in adata.obs_names], dtype=np.intp)
    counts = np.bincount(group[group >= 0], minlength=len(requested))
    if (counts == 0).any():
        raise InputError(
            f"There is no cell '{requested[int((counts == 0).argmax())]}' in obs_names, which has names such as "
            f"'{adata.obs_names[0] if adata.n_obs else ''}'."
        )
    if (counts > 1).any():
        raise InputError(
            f"The name '{requested[int((counts > 1).argmax())]}' belongs to several cells. "
            "Run adata.obs_names_make_unique() first."
        )
    return group


def explanations_page(adata: "AnnData") -> str:
    """Render the result of `okrcell.tl.explain` as Markdown.

    Parameters
    ----------
    adata : AnnData
        Cells with ``uns["okrcell_explanations"]``. It is not changed.

    Returns
    -------
    str
        One section per group or cell, in their order: annotation, runner-up, table of genes, and the cited records. Records
        longer than 240 characters are cut.

    Raises
    ------
    InputError
        If ``uns`` has no explanations. Run `okrcell.tl.explain` first.

    See Also
    --------
    explanations_json : The same as JSON, with complete records.

    Notes
    -----
    The content is that of `okrcell.tl.explain`; nothing is computed here.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:60].copy()
    >>> okr.tl.explain(adata, candidates=["T cell", "B cell", "monocyte"], top=5)
    >>> page = okr.tl.explanations_page(adata)
    >>> "## B cell: B cell (CL:0000236)" in page
    True
    """
    record, explanations = _read_explanations(adata)
    subject = f"groups of {escape_markdown(record['groupby'])}" if record["groupby"] else "single cells"
    lines = [
        f"# Explanations of {subject}",
        "",
        f"{record['input']['cells']:,} cells; model {escape_markdown(record['model'])}; "
        f"{len(record['candidates'])} candidates. "
        "The contribution of a gene is its relative expression times the difference of its weights in the signatures of the "
        "answer and the runner-up: above zero it supports the answer, below zero the runner-up.",
    ]
    for name, explanation in explanations.items():
        lines += ["", *_render_explanation(name, explanation)]
    return "\n".join(lines)


def explanations_json(adata: "AnnData") -> str:
    """Serialize the result of `okrcell.tl.explain` as JSON.

    Parameters
    ----------
    adata : AnnData
        Cells with ``uns["okrcell_explanations"]``. It is not changed.

    Returns
    -------
    str
        JSON object with two keys: "receipt", the provenance record, and "explanations", the entries of
        ``uns["okrcell_explanations"]`` by group or cell, in their order. Tables are lists of rows; NaN becomes null.

    Raises
    ------
    InputError
        If ``uns`` has no explanations. Run `okrcell.tl.explain` first.

    See Also
    --------
    explanations_page : The same as Markdown.

    Notes
    -----
    The content is that of `okrcell.tl.explain`; nothing is computed here.

    Examples
    --------
    >>> import json
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:60].copy()
    >>> okr.tl.explain(adata, candidates=["T cell", "B cell", "monocyte"], top=5)
    >>> result = json.loads(okr.tl.explanations_json(adata))
    >>> list(result)
    ['receipt', 'explanations']
    >>> len(result["explanations"]["B cell"]["genes"])
    5
    """
    record, explanations = _read_explanations(adata)
    # NaN is not valid JSON and becomes null.
    content = to_json({"receipt": record, "explanations": explanations})
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def _read_explanations(adata: "AnnData") -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
    if EXPLANATIONS_KEY not in adata.uns:
        raise InputError(f"There is no uns['{EXPLANATIONS_KEY}']. Run okrcell.tl.explain first.")
    record = adata.uns["okrcell"]["explain"]
    return record, {str(name): adata.uns[EXPLANATIONS_KEY][slot_name(str(name))] for name in record["explained"]}


def _render_explanation(name: str, explanation: Mapping[str, Any]) -> Iterator[str]:
    term_id = escape_markdown(explanation["cell_type_ontology_term_id"])
    term = f" ({term_id})" if term_id else ""
    yield f"## {escape_markdown(name)}: {escape_markdown(explanation['cell_type'])}{term}"
    yield ""
    if explanation["cell_type"] == "unknown":
        yield "No cell has expression, so there is no explanation."
        return
    fraction = (
        f"{explanation['share']:.0%} of {explanation['cells']:,} cells have this label"
        if explanation["cells"] > 1
        else "1 cell"
    )
    second = escape_markdown(explanation["runner_up"])
    runner_up = f"The runner-up is {second}." if second else "There was no other candidate."
    yield f"{fraction}, with a mean confidence of {explanation['confidence']:.2f}. {runner_up}"
    genes = pd.DataFrame(explanation["genes"])
    if not len(genes):
        yield ""
        yield "No measured gene distinguishes the two."
        return
    yield ""
    yield "| " + " | ".join(TABLE_HEADINGS) + " |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---|---|"
    for row in genes.to_dict("records"):
        gene, speaks, source, evidence = (escape_markdown(row[key]) for key in ("gene", "speaks", "source", "evidence"))
        numbers = f"{row['contribution']:+.3f} | {row['relative']:+.2f} | {row['expected']:+.3f}"
        numbers += f" | {row['runner_up_expected']:+.3f}"
        cells = f"{_format_percent(row['inside'])} | {_format_percent(row['outside'])}"
        yield f"| {gene} | {speaks} | {numbers} | {cells} | {source} | {evidence} |"
    records = pd.DataFrame(explanation["evidence"])
    if len(records):
        yield ""
    yield from render_citations(records)


def _format_percent(fraction: float) -> str:
    return "" if pd.isna(fraction) else f"{fraction:.0%}"
