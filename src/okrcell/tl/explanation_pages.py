"""Render explanations as Markdown and as JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from okrcell.errors import InputError
from okrcell.tl.explain import EXPLANATIONS
from okrcell.tl.tables import plain, quoted, slot_name

if TYPE_CHECKING:
    from anndata import AnnData

HEADINGS = (
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
    receipt, explained = _left(adata)
    what = f"groups of {receipt['groupby']}" if receipt["groupby"] else "single cells"
    lines = [
        f"# Explanations of {what}",
        "",
        f"{receipt['input']['cells']:,} cells; model {receipt['model']}; {len(receipt['candidates'])} candidates. "
        "The contribution of a gene is its relative expression times the difference of its weights in the signatures of the "
        "answer and the runner-up: above zero it supports the answer, below zero the runner-up.",
    ]
    for name, each in explained.items():
        lines += ["", *_group(name, each)]
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
    receipt, explained = _left(adata)
    # NaN is not valid JSON and becomes null.
    whole = plain({"receipt": receipt, "explanations": explained})
    return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)


def _left(adata: "AnnData") -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
    if EXPLANATIONS not in adata.uns:
        raise InputError(f"There is no uns['{EXPLANATIONS}']. Run okrcell.tl.explain first.")
    receipt = adata.uns["okrcell"]["explain"]
    return receipt, {str(name): adata.uns[EXPLANATIONS][slot_name(str(name))] for name in receipt["explained"]}


def _group(name: str, each: Mapping[str, Any]) -> Iterator[str]:
    term = f" ({each['cell_type_ontology_term_id']})" if each["cell_type_ontology_term_id"] else ""
    yield f"## {name}: {each['cell_type']}{term}"
    yield ""
    if each["cell_type"] == "unknown":
        yield "No cell has expression, so there is no explanation."
        return
    who = f"{each['share']:.0%} of {each['cells']:,} cells have this label" if each["cells"] > 1 else "1 cell"
    against = f"The runner-up is {each['runner_up']}." if each["runner_up"] else "There was no other candidate."
    yield f"{who}, with a mean confidence of {each['confidence']:.2f}. {against}"
    genes = pd.DataFrame(each["genes"])
    if not len(genes):
        yield ""
        yield "No measured gene distinguishes the two."
        return
    yield ""
    yield "| " + " | ".join(HEADINGS) + " |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---|---|"
    for row in genes.to_dict("records"):
        numbers = f"{row['contribution']:+.3f} | {row['relative']:+.2f} | {row['expected']:+.3f}"
        numbers += f" | {row['runner_up_expected']:+.3f}"
        cells = f"{_percent(row['inside'])} | {_percent(row['outside'])}"
        yield f"| {row['gene']} | {row['speaks']} | {numbers} | {cells} | {row['source']} | {row['evidence']} |"
    records = pd.DataFrame(each["evidence"])
    if len(records):
        yield ""
    yield from quoted(records)


def _percent(share: float) -> str:
    return "" if pd.isna(share) else f"{share:.0%}"
