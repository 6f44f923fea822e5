"""The labels that a column of a file gives its cells, with the words that stand for each."""

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
    """Labels as their author wrote them: two labels of one Cell Ontology term stay two."""

    label: NDArray[np.str_] = field(repr=False)
    """For each cell; "" for placeholders ("unknown", "NA") and where nothing is written."""
    term_id: Mapping[str, str]
    """Cell Ontology id of each label, "" where its words name none."""
    texts: Mapping[str, tuple[str, ...]]
    """The author's words, then those of the term."""


def column_labels(obs: pd.DataFrame, key: str, option: str) -> ColumnLabels:
    """Read the labels in the column ``key``, with the ids in ``{key}_ontology_term_id`` if there are any.

    Parameters
    ----------
    option
        How the user names the column, for the message: "--label-key (label_key=...)".

    Raises
    ------
    InputError
        If there is no such column, or no label in it.
    """
    known_column(obs, key, option)
    written = as_written(obs, key)
    # A number says nothing of a cell's type, but it may tell one cluster from another.
    says = {word: bool(tidy(word) or any(map(str.isdigit, word))) for word in dict.fromkeys(written.tolist())}
    label = np.array([word.strip() if says[word] else "" for word in written.tolist()], dtype=np.str_)
    if not (label != "").any():
        raise InputError(
            f"No cell has a label in '{key}': there are only placeholders such as 'unknown', or nothing. "
            f"Name a column with labels: {option}."
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
    """Refuse a column that is not there, naming those that are like it.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if key in obs:
        return
    columns = [str(name) for name in obs]
    near = get_close_matches(key, columns, n=3) or columns
    told = f"near to it are {', '.join(near)}" if near != columns else f"it has {', '.join(columns) or 'none'}"
    raise InputError(f"obs has no column '{key}'; {told}. Name the one that you mean: {option}.")


def _most_often(words: NDArray[np.object_]) -> str:
    counted = pd.Series(words[words != ""]).value_counts()
    return str(counted.index[0]) if len(counted) else ""
