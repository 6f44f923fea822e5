"""Write explanations as a page that people read, and as JSON that programs do."""

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
    "gene", "speaks", "word", "relative expression", "expected", "by the runner-up", "cells inside", "outside",
    "learned from", "records",
)  # fmt: skip


def explanations_page(adata: "AnnData") -> str:
    """Write what `okrcell.tl.explain` left in ``uns`` as Markdown, groups or cells in their order, records below each.

    Raises
    ------
    InputError
        If nothing was explained.
    """
    receipt, explained = _left(adata)
    what = f"groups of {receipt['groupby']}" if receipt["groupby"] else "single cells"
    lines = [
        f"# Why: {what}",
        "",
        f"{receipt['input']['cells']:,} cells; model {receipt['model']}; {len(receipt['candidates'])} candidates. "
        "A gene's word is its relative expression times what the names predict of it; above zero it speaks for the "
        "answer, below zero for the runner-up.",
    ]
    for name, each in explained.items():
        lines += ["", *_group(name, each)]
    return "\n".join(lines)


def explanations_json(adata: "AnnData") -> str:
    """Write the same as JSON: the receipt, and by group or cell all that is in ``uns``, tables as lists of rows.

    Raises
    ------
    InputError
        If nothing was explained.
    """
    receipt, explained = _left(adata)
    # JSON has no number for what is not there.
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
        yield "No expression that could be read, so nothing speaks."
        return
    who = f"{each['share']:.0%} of {each['cells']:,} cells were named so" if each["cells"] > 1 else "1 cell"
    against = f"The runner-up is {each['runner_up']}." if each["runner_up"] else "There was no other candidate."
    yield f"{who}, with a mean confidence of {each['confidence']:.2f}. {against}"
    genes = pd.DataFrame(each["genes"])
    if not len(genes):
        yield ""
        yield "No gene that was measured tells the two apart."
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
