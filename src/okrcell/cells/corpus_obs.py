"""What a corpus keeps of every cell, in words."""

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
"""What a corpus keeps of every cell; ``kind`` is what the matrix held (counts, log1p, linear)."""


def known_columns(obs: pd.DataFrame, study: str, kind: str) -> dict[str, Any]:
    """Return `OBS_COLUMNS` as Arrow dictionary arrays, "" where nothing is known.

    ``study`` is used for the cells that name none; a missing ``donor`` is taken from ``donor_id``.
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
    return known[code]  # a missing value has code -1, the last


def _text(value: Any) -> str:
    # Donors 1, 2, 3 become 1.0, 2.0, 3.0 as soon as one is missing; they are still donors 1, 2, 3.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
