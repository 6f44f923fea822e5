"""Labels of a column of obs, with their ontology ids and texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.ontology.label_parsing import clean_label
from okrcell.tasks.labels import CONTEXT_COLUMNS, column_as_text
from okrcell.texts.describe import label_texts
from okrcell.ontology.obs_profile import read_profile


@dataclass(frozen=True)
class ColumnLabels:
    """Raw labels of a column; labels of the same Cell Ontology term are not merged."""

    labels: NDArray[np.str_] = field(repr=False)
    """Label of each cell; "" for placeholders ("unknown", "NA") and missing values."""
    term_ids: Mapping[str, str]
    """Cell Ontology id of each label, "" if it is not a term of the ontology."""
    texts: Mapping[str, tuple[str, ...]]
    """Texts of each label: the author's name, then those of the term."""


def read_column_labels(obs: pd.DataFrame, key: str, option: str) -> ColumnLabels:
    """Read the labels from the column ``key``, and their ids from ``{key}_ontology_term_id`` if it exists.

    Parameters
    ----------
    obs
        Annotation of the cells.
    key
        Column of the labels.
    option
        Option and argument that set the column, for the error message: "--label-key (label_key=...)".

    Raises
    ------
    InputError
        If the column does not exist or has no label.
    """
    check_column(obs, key, option)
    raw_labels = column_as_text(obs, key)
    # A number does not name a cell type, but it may be a cluster label.
    is_label = {
        raw_label: bool(clean_label(raw_label) or any(map(str.isdigit, raw_label)))
        for raw_label in dict.fromkeys(raw_labels.tolist())
    }
    labels = np.array(
        [raw_label.strip() if is_label[raw_label] else "" for raw_label in raw_labels.tolist()], dtype=np.str_
    )
    if not (labels != "").any():
        raise InputError(
            f"No cell has a label in '{key}': it has only placeholders such as 'unknown', or is empty. "
            f"Pass a column with labels: {option}."
        )
    context = {name: _most_frequent(column_as_text(obs, name)) for name in CONTEXT_COLUMNS if name in obs}
    id_column = f"{key}_ontology_term_id"
    raw_ids = column_as_text(obs, id_column) if id_column in obs else np.full(len(obs), "", dtype=object)
    term_ids: dict[str, str] = {}
    for name in np.unique(labels[labels != ""]).tolist():
        raw_id = _most_frequent(raw_ids[labels == name])
        term_ids[name] = read_profile({"cell_type": name, "cell_type_ontology_term_id": raw_id, **context}).cell_type_id
    texts = {
        name: tuple(dict.fromkeys((name, *(label_texts(term_id) if term_id else ()))))
        for name, term_id in term_ids.items()
    }
    return ColumnLabels(labels, term_ids, texts)


def check_column(obs: pd.DataFrame, key: str, option: str) -> None:
    """Check that a column exists; the error lists similar columns.

    Raises
    ------
    InputError
        If the column does not exist.
    """
    if key in obs:
        return
    columns = [str(name) for name in obs]
    similar = get_close_matches(key, columns, n=3) or columns
    hint = (
        f"similar columns are {', '.join(similar)}" if similar != columns else f"it has {', '.join(columns) or 'none'}"
    )
    raise InputError(f"obs has no column '{key}'; {hint}. Pass an existing column: {option}.")


def _most_frequent(values: NDArray[np.object_]) -> str:
    counts = pd.Series(values[values != ""]).value_counts()
    return str(counts.index[0]) if len(counts) else ""
