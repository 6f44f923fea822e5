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
from okrcell.ontology.obs_profile import read_profiles

CONTEXT_COLUMNS = ("tissue", "tissue_ontology_term_id")
"""Columns that disambiguate a label."""


@dataclass(frozen=True)
class StudyLabels:
    """Labels of the cells of a study; labels of the same Cell Ontology term are merged."""

    label_idx: NDArray[np.int64] = field(repr=False)
    """Index of each cell's label in the tuples below; -1 for an unlabelled cell."""
    names: tuple[str, ...]
    """Cell Ontology id of each label, else the author's name."""
    author_names: tuple[str, ...]
    """Most frequent author's name of each label."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Cell Ontology ids, "" where unknown."""
        return tuple(name if name.startswith("CL:") else "" for name in self.names)

    def vectors(self, embedder: TextEmbedder) -> Float[np.ndarray, "label dim"]:
        """Return a unit vector for the texts of each label."""
        candidates = [Candidate(name, "", _texts_or_name(name)) for name in self.names]
        return candidate_vectors(candidates, embedder).astype(np.float32)


def read_study_labels(obs: pd.DataFrame, label_key: str = "cell_type") -> StudyLabels:
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
    columns: dict[str, Any] = {"cell_type": obs[label_key]}
    if f"{label_key}_ontology_term_id" in obs:
        columns["cell_type_ontology_term_id"] = obs[f"{label_key}_ontology_term_id"]
    columns |= {name: obs[name] for name in CONTEXT_COLUMNS if name in obs}
    cell_profiles = read_profiles(pd.DataFrame(columns, index=obs.index))
    names = [profile.cell_type_id or profile.cell_type for profile in cell_profiles.distinct]
    index = {name: idx for idx, name in enumerate(sorted({name for name in names if name}))}
    label_idx = np.array([index.get(name, -1) for name in names], dtype=np.int64)[cell_profiles.codes]
    return StudyLabels(
        label_idx, tuple(index), _most_frequent_names(label_idx, column_as_text(obs, label_key), list(index))
    )


def _most_frequent_names(
    label_idx: NDArray[np.int64], raw_labels: NDArray[np.object_], names: Sequence[str]
) -> tuple[str, ...]:
    is_labeled = label_idx >= 0
    counts = pd.DataFrame({"name": label_idx[is_labeled], "word": raw_labels[is_labeled]}).value_counts().reset_index()
    most_frequent = counts.drop_duplicates("name").set_index("name")["word"].to_dict()
    return tuple(str(most_frequent.get(idx, "")) or name for idx, name in enumerate(names))


def column_as_text(obs: pd.DataFrame, column: str) -> NDArray[np.object_]:
    """Return a column as strings, "" for missing values."""
    values = obs[column].astype(object)
    return values.where(values.notna(), "").astype(str).to_numpy(dtype=object)


def _texts_or_name(name: str) -> tuple[str, ...]:
    try:
        return label_texts(name)
    except InputError:
        # A name that has the form of an ontology id.
        return (name,)
