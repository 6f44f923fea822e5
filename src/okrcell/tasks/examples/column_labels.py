"""Labels of a column of obs, with their ontology ids and texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.knowledge.matching.labels import tidy
from okrcell.tasks.auditing.study_labels import BESIDE, as_written
from okrcell.texts.describe import label_texts
from okrcell.texts.profile import read_profile


@dataclass(frozen=True)
class ColumnLabels:
    """Raw labels of a column; labels of the same Cell Ontology term are not merged."""

    label: NDArray[np.str_] = field(repr=False)
    """Label of each cell; "" for placeholders ("unknown", "NA") and missing values."""
    term_id: Mapping[str, str]
    """Cell Ontology id of each label, "" if it is not a term of the ontology."""
    texts: Mapping[str, tuple[str, ...]]
    """Texts of each label: the author's name, then those of the term."""


def column_labels(obs: pd.DataFrame, key: str, option: str) -> ColumnLabels:
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
    known_column(obs, key, option)
    written = as_written(obs, key)
    # A number does not name a cell type, but it may be a cluster label.
    says = {word: bool(tidy(word) or any(map(str.isdigit, word))) for word in dict.fromkeys(written.tolist())}
    label = np.array([word.strip() if says[word] else "" for word in written.tolist()], dtype=np.str_)
    if not (label != "").any():
        raise InputError(
            f"No cell has a label in '{key}': it has only placeholders such as 'unknown', or is empty. "
            f"Pass a column with labels: {option}."
        )
    tissue = {name: _most_often(as_written(obs, name)) for name in BESIDE if name in obs}
    beside = f"{key}_ontology_term_id"
    given = as_written(obs, beside) if beside in obs else np.full(len(obs), "", dtype=object)
    ids: dict[str, str] = {}
    for name in np.unique(label[label != ""]).tolist():
        own = _most_often(given[label == name])
        ids[name] = read_profile({"cell_type": name, "cell_type_ontology_term_id": own, **tissue}).cell_type_id
    texts = {name: tuple(dict.fromkeys((name, *(label_texts(one) if one else ())))) for name, one in ids.items()}
    return ColumnLabels(label, ids, texts)


def known_column(obs: pd.DataFrame, key: str, option: str) -> None:
    """Check that a column exists; the error lists similar columns.

    Raises
    ------
    InputError
        If the column does not exist.
    """
    if key in obs:
        return
    columns = [str(name) for name in obs]
    near = get_close_matches(key, columns, n=3) or columns
    told = f"similar columns are {', '.join(near)}" if near != columns else f"it has {', '.join(columns) or 'none'}"
    raise InputError(f"obs has no column '{key}'; {told}. Pass an existing column: {option}.")


def _most_often(words: NDArray[np.object_]) -> str:
    counted = pd.Series(words[words != ""]).value_counts()
    return str(counted.index[0]) if len(counted) else ""
