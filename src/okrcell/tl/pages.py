"""Render descriptions of groups as Markdown and as JSON."""

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
    receipt, described = _left(adata)
    lines = [
        f"# Groups of {receipt['groupby']}",
        "",
        f"{receipt['input']['cells']:,} cells; model {receipt['model']}; "
        f"{len(receipt['candidates'])} candidate types (source: {receipt['candidates_named_by']}). "
        "The share of cells is the fraction of a group whose nearest candidate is the type; the mean probability "
        "is the average over its cells of the probability of the type.",
    ]
    for name, each in described.items():
        lines += ["", *_group(name, each)]
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
    receipt, described = _left(adata)
    return json.dumps(plain({"receipt": receipt, "groups": described}), indent=2, ensure_ascii=False, allow_nan=False)


def _left(adata: "AnnData") -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
    if DESCRIPTIONS not in adata.uns:
        raise InputError(f"There is no uns['{DESCRIPTIONS}']. Run okrcell.tl.describe first.")
    receipt = adata.uns["okrcell"]["describe"]
    # An h5ad file stores uns in alphabetical order; the provenance record keeps the order of the groups.
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
        yield "| gene | log2 fold change | cells in the group | cells outside |"
        yield "|---|---:|---:|---:|"
        for row in genes.to_dict("records"):
            yield f"| {row['gene']} | {row['log2_fold']:.1f} | {row['inside']:.0%} | {row['outside']:.0%} |"
    yield ""
    yield from quoted(each["evidence"])
