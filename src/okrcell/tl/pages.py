"""Write descriptions of groups as a page that people read, and as JSON that programs do."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from okrcell.errors import InputError
from okrcell.tl.describe import DESCRIPTIONS
from okrcell.tl.tables import plain, quoted, slot_name

if TYPE_CHECKING:
    from anndata import AnnData

GENES_ON_PAGE = 10


def descriptions_page(adata: "AnnData") -> str:
    """Write what `okrcell.tl.describe` left in ``uns`` as Markdown, the groups in their order, sources below each.

    Raises
    ------
    InputError
        If nothing was described.
    """
    receipt, described = _left(adata)
    lines = [
        f"# Groups of {receipt['groupby']}",
        "",
        f"{receipt['input']['cells']:,} cells; model {receipt['model']}; "
        f"{len(receipt['candidates'])} candidate types, named by {receipt['candidates_named_by']}. "
        "A share tells how many of a group's cells are nearest to a type; a probability "
        "is what a single cell is given on average.",
    ]
    for name, each in described.items():
        lines += ["", *_group(name, each)]
    return "\n".join(lines)


def descriptions_json(adata: "AnnData") -> str:
    """Write the same as JSON: the receipt, and by group everything that is in ``uns``, tables as lists of rows.

    Raises
    ------
    InputError
        If nothing was described.
    """
    receipt, described = _left(adata)
    return json.dumps(plain({"receipt": receipt, "groups": described}), indent=2, ensure_ascii=False, allow_nan=False)


def _left(adata: "AnnData") -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
    if DESCRIPTIONS not in adata.uns:
        raise InputError(f"There is no uns['{DESCRIPTIONS}']. Run okrcell.tl.describe first.")
    receipt = adata.uns["okrcell"]["describe"]
    # A file keeps slots in the order of the alphabet; the receipt keeps that of the groups.
    return receipt, {str(name): adata.uns[DESCRIPTIONS][slot_name(str(name))] for name in receipt["groups"]}


def _group(name: str, each: Mapping[str, Any]) -> Iterator[str]:
    term = f" ({each['cell_type_ontology_term_id']})" if each["cell_type_ontology_term_id"] else ""
    headline = {"confident": "", "broad": "some kind of "}.get(str(each["status"]), "")
    yield f"## {name}: {headline}{each['cell_type']}{term}"
    yield ""
    yield str(each["text"])
    types = each["types"]
    if len(types):
        yield ""
        yield "| likely type | id | share of cells | mean probability |"
        yield "|---|---|---:|---:|"
        for row in types.to_dict("records"):
            who = f"{row['cell_type']} | {row['cell_type_ontology_term_id']}"
            yield f"| {who} | {row['share']:.0%} | {row['probability']:.2f} |"
    genes = each["genes"].head(GENES_ON_PAGE)
    if len(genes):
        yield ""
        yield "| gene | log2 fold | cells in the group | cells outside |"
        yield "|---|---:|---:|---:|"
        for row in genes.to_dict("records"):
            yield f"| {row['gene']} | {row['log2_fold']:.1f} | {row['inside']:.0%} | {row['outside']:.0%} |"
    yield ""
    yield from quoted(each["evidence"])
