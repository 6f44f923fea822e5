"""Read the names that BD Rhapsody gives to genes and antibodies: "ADA|NM_000022.2|PolyA_1", "CD103|ITGAE|AHS0001|pAbO"."""

import re
from typing import TYPE_CHECKING

import numpy as np

from okrcell.cells.findings import add_read_findings

if TYPE_CHECKING:
    from anndata import AnnData

RHAPSODY_NAME = re.compile(r"[^|]+\|.*\|(Reference_end|PolyA(_\d+)?|pAbO)", re.IGNORECASE)


def add_rhapsody_columns(adata: "AnnData") -> "AnnData":
    """Add the symbols and types of features to ``var``, if their names are those of BD Rhapsody."""
    names = adata.var_names.astype(str)
    matches = [RHAPSODY_NAME.fullmatch(name) for name in names]
    if not any(matches):
        return adata
    types = ["Antibody Capture" if match and match[1].lower() == "pabo" else "Gene Expression" for match in matches]
    adata.var["gene_symbol"] = np.array([name.split("|")[0] for name in names], dtype=object)
    if "feature_types" not in adata.var:
        adata.var["feature_types"] = np.array(types, dtype=object)
    return add_read_findings(
        adata, ["symbols were taken from the names of BD Rhapsody, which hold them before the first |"]
    )
