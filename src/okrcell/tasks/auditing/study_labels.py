"""Distinct labels of a study, with their names and ontology ids."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.texts.describe import label_texts
from okrcell.texts.profile import profiles

BESIDE = ("tissue", "tissue_ontology_term_id")
"""Columns that disambiguate a label."""


@dataclass(frozen=True)
class StudyLabels:
    """Labels of the cells of a study; labels of the same Cell Ontology term are merged."""

    given: NDArray[np.int64] = field(repr=False)
    """Index of each cell's label in the tuples below; -1 for an unlabelled cell."""
    names: tuple[str, ...]
    """Cell Ontology id of each label, else the author's name."""
    words: tuple[str, ...]
    """Most frequent author's name of each label."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Cell Ontology ids, "" where unknown."""
        return tuple(name if name.startswith("CL:") else "" for name in self.names)

    def vectors(self, embedder: TextEmbedder) -> Float[np.ndarray, "label dim"]:
        """Return a unit vector for the texts of each label."""
        some = [Candidate(name, "", _texts(name)) for name in self.names]
        return candidate_vectors(some, embedder).astype(np.float32)


def study_labels(obs: pd.DataFrame, label_key: str = "cell_type") -> StudyLabels:
    """Read the labels from the column ``label_key``, and their ids from ``{label_key}_ontology_term_id`` if it exists.

    Placeholders ("unknown", "NA", "Unassigned") count as unlabelled.

    Raises
    ------
    InputError
        If the column does not exist.
    """
    if label_key not in obs:
        raise InputError(
            f"obs has no column '{label_key}'; it has {', '.join(map(str, obs)) or 'none'}. "
            "Pass the column with the labels: --label-key (label_key=...)."
        )
    read: dict[str, Any] = {"cell_type": obs[label_key]}
    if f"{label_key}_ontology_term_id" in obs:
        read["cell_type_ontology_term_id"] = obs[f"{label_key}_ontology_term_id"]
    read |= {name: obs[name] for name in BESIDE if name in obs}
    found = profiles(pd.DataFrame(read, index=obs.index))
    names = [profile.cell_type_id or profile.cell_type for profile in found.distinct]
    place = {name: number for number, name in enumerate(sorted({name for name in names if name}))}
    given = np.array([place.get(name, -1) for name in names], dtype=np.int64)[found.code]
    return StudyLabels(given, tuple(place), _most_often(given, as_written(obs, label_key), list(place)))


def _most_often(given: NDArray[np.int64], written: NDArray[np.object_], names: Sequence[str]) -> tuple[str, ...]:
    known = given >= 0
    counted = pd.DataFrame({"name": given[known], "word": written[known]}).value_counts().reset_index()
    first = counted.drop_duplicates("name").set_index("name")["word"].to_dict()
    return tuple(str(first.get(number, "")) or name for number, name in enumerate(names))


def as_written(obs: pd.DataFrame, column: str) -> NDArray[np.object_]:
    """Return a column as strings, "" for missing values."""
    words = obs[column].astype(object)
    return words.where(words.notna(), "").astype(str).to_numpy(dtype=object)


def _texts(name: str) -> tuple[str, ...]:
    try:
        return label_texts(name)
    except InputError:
        # A name that has the form of an ontology id.
        return (name,)
