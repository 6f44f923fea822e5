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


def known_columns(obs: pd.DataFrame, study: str, kind: str) -> dict[str, Any]:
    """`OBS_COLUMNS` as Arrow dictionary arrays, "" where unknown.

    ``study`` is used for cells without a study; a missing ``donor`` column is filled from ``donor_id``.
    """
    found: dict[str, Any] = {name: obs[name] for name in OBS_COLUMNS if name in obs}
    if "donor" not in found and "donor_id" in obs:
        found["donor"] = obs["donor_id"]
    texts = {
        name: _texts(found[name]) if name in found else np.full(len(obs), "", dtype=object) for name in OBS_COLUMNS
    }
    texts["study"] = np.where(texts["study"] == "", study, texts["study"])
    texts["kind"] = np.full(len(obs), kind, dtype=object)
    return {name: pa.array(values, pa.string()).dictionary_encode() for name, values in texts.items()}


def _texts(column: Any) -> NDArray[Any]:
    code, values = pd.factorize(column)
    known = np.array([*(_text(value) for value in values), ""], dtype=object)
    return known[code]  # code -1 (missing value) selects the last entry, ""


def _text(value: Any) -> str:
    # pandas reads donors 1, 2, 3 as 1.0, 2.0, 3.0 if one is missing.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
