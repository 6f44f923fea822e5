"""Render descriptions of groups as Markdown and as JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from okrcell.errors import InputError
from okrcell.tl.describe import DESCRIPTIONS_KEY
from okrcell.tl.tables import render_citations, slot_name, to_json

if TYPE_CHECKING:
    from anndata import AnnData

MAX_GENES_ON_PAGE = 10


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
        f"# Groups of {record['groupby']}",
        "",
        f"{record['input']['cells']:,} cells; model {record['model']}; "
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
    term = f" ({description['cell_type_ontology_term_id']})" if description["cell_type_ontology_term_id"] else ""
    prefix = {"confident": "", "broad": "some kind of "}.get(str(description["status"]), "")
    yield f"## {name}: {prefix}{description['cell_type']}{term}"
    yield ""
    yield str(description["text"])
    types = description["types"]
    if len(types):
        yield ""
        yield "| likely type | id | share of cells | mean probability |"
        yield "|---|---|---:|---:|"
        for row in types.to_dict("records"):
            label = f"{row['cell_type']} | {row['cell_type_ontology_term_id']}"
            yield f"| {label} | {row['share']:.0%} | {row['probability']:.2f} |"
    genes = description["genes"].head(MAX_GENES_ON_PAGE)
    if len(genes):
        yield ""
        yield "| gene | log2 fold change | cells in the group | cells outside |"
        yield "|---|---:|---:|---:|"
        for row in genes.to_dict("records"):
            yield f"| {row['gene']} | {row['log2_fold']:.1f} | {row['inside']:.0%} | {row['outside']:.0%} |"
    yield ""
    yield from render_citations(description["evidence"])
