"""Metadata columns that a corpus stores for every cell."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

OBS_COLUMNS = (
    "cell_type",
    "cell_type_ontology_term_id",
    "tissue",
    "tissue_ontology_term_id",
    "disease",
    "disease_ontology_term_id",
    "development_stage",
    "development_stage_ontology_term_id",
    "sex",
    "sex_ontology_term_id",
    "assay",
    "assay_ontology_term_id",
    "suspension_type",
    "condition",
    "batch",
    "donor",
    "study",
    "kind",
)
"""Metadata columns of a corpus; ``kind`` is the content of the matrix (counts, log1p, linear)."""


def obs_to_arrow(obs: pd.DataFrame, study: str, matrix_kind: str) -> dict[str, Any]:
    """`OBS_COLUMNS` as Arrow dictionary arrays, "" where unknown.

    ``study`` is used for cells without a study; a missing ``donor`` column is filled from ``donor_id``.
    """
    available: dict[str, Any] = {name: obs[name] for name in OBS_COLUMNS if name in obs}
    if "donor" not in available and "donor_id" in obs:
        available["donor"] = obs["donor_id"]
    columns = {
        name: _strings(available[name]) if name in available else np.full(len(obs), "", dtype=object)
        for name in OBS_COLUMNS
    }
    columns["study"] = np.where(columns["study"] == "", study, columns["study"])
    columns["kind"] = np.full(len(obs), matrix_kind, dtype=object)
    return {name: pa.array(values, pa.string()).dictionary_encode() for name, values in columns.items()}


def _strings(column: Any) -> NDArray[Any]:
    code, values = pd.factorize(column)
    strings = np.array([*(_string(value) for value in values), ""], dtype=object)
    return strings[code]  # code -1 (missing value) selects the last entry, ""


def _string(value: Any) -> str:
    # pandas reads donors 1, 2, 3 as 1.0, 2.0, 3.0 if one is missing.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
