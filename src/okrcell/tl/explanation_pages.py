"""Render explanations as Markdown and as JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from okrcell.errors import InputError
from okrcell.tl.explain import EXPLANATIONS_KEY
from okrcell.tl.tables import render_citations, slot_name, to_json

if TYPE_CHECKING:
    from anndata import AnnData

TABLE_HEADINGS = (
    "gene", "for or against", "contribution", "relative expression", "expected", "expected by the runner-up", "cells inside",
    "cells outside", "source", "records",
)  # fmt: skip


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
    subject = f"groups of {record['groupby']}" if record["groupby"] else "single cells"
    lines = [
        f"# Explanations of {subject}",
        "",
        f"{record['input']['cells']:,} cells; model {record['model']}; {len(record['candidates'])} candidates. "
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
    term = f" ({explanation['cell_type_ontology_term_id']})" if explanation["cell_type_ontology_term_id"] else ""
    yield f"## {name}: {explanation['cell_type']}{term}"
    yield ""
    if explanation["cell_type"] == "unknown":
        yield "No cell has expression, so there is no explanation."
        return
    fraction = (
        f"{explanation['share']:.0%} of {explanation['cells']:,} cells have this label"
        if explanation["cells"] > 1
        else "1 cell"
    )
    runner_up = (
        f"The runner-up is {explanation['runner_up']}." if explanation["runner_up"] else "There was no other candidate."
    )
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
        numbers = f"{row['contribution']:+.3f} | {row['relative']:+.2f} | {row['expected']:+.3f}"
        numbers += f" | {row['runner_up_expected']:+.3f}"
        cells = f"{_format_percent(row['inside'])} | {_format_percent(row['outside'])}"
        yield f"| {row['gene']} | {row['speaks']} | {numbers} | {cells} | {row['source']} | {row['evidence']} |"
    records = pd.DataFrame(explanation["evidence"])
    if len(records):
        yield ""
    yield from render_citations(records)


def _format_percent(fraction: float) -> str:
    return "" if pd.isna(fraction) else f"{fraction:.0%}"
