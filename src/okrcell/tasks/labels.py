"""Distinct labels of a study, with their names and ontology ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.cells.groupings import check_grouping
from okrcell.cells.slot_keys import missing_column_error
from okrcell.descriptions.metadata_text import label_texts
from okrcell.errors import InputError
from okrcell.evidence import TextEmbedder
from okrcell.ontology.label_parsing import clean_label
from okrcell.ontology.obs_profile import CellProfile, Profiles, read_profile, read_profiles
from okrcell.ontology.resolver import ResolvedType
from okrcell.ontology.standardise import candidate_terms, term_by_id
from okrcell.tasks.candidates import Candidate, candidate_vectors

CONTEXT_COLUMNS = ("tissue", "tissue_ontology_term_id")
"""Columns that disambiguate a label."""
MAX_REMARKS = 10
"""Maximum number of labels that get a remark of their own."""


@dataclass(frozen=True)
class StudyLabels:
    """Labels of the cells of a study; labels of the same Cell Ontology term are merged."""

    label_idx: NDArray[np.int64] = field(repr=False)
    """Index of each cell's label in the tuples below; -1 for an unlabelled cell."""
    names: tuple[str, ...]
    """Cell Ontology id of each label, else the author's name."""
    author_names: tuple[str, ...]
    """Most frequent author's name of each label."""
    remarks: tuple[str, ...] = ()
    """Sentences on labels that name no known cell type, and on those of which the term covers only a part."""

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
        If the column does not exist or is no grouping.
    """
    if label_key not in obs:
        raise InputError(
            f"obs has no column '{label_key}'; it has {', '.join(map(str, obs)) or 'none'}. "
            "Pass the column with the labels: --label-key (label_key=...)."
        )
    check_grouping(obs[label_key], label_key, "Pass a column with labels: --label-key (label_key=...).")
    columns: dict[str, Any] = {"cell_type": obs[label_key]}
    if f"{label_key}_ontology_term_id" in obs:
        columns["cell_type_ontology_term_id"] = obs[f"{label_key}_ontology_term_id"]
    columns |= {name: obs[name] for name in CONTEXT_COLUMNS if name in obs}
    cell_profiles = read_profiles(pd.DataFrame(columns, index=obs.index))
    names = [profile.cell_type_id or profile.cell_type for profile in cell_profiles.distinct]
    index = {name: idx for idx, name in enumerate(sorted({name for name in names if name}))}
    label_idx = np.array([index.get(name, -1) for name in names], dtype=np.int64)[cell_profiles.codes]
    raw_labels = column_as_text(obs, label_key)
    return StudyLabels(
        label_idx,
        tuple(index),
        _most_frequent_names(label_idx, raw_labels, list(index)),
        _study_remarks(columns, raw_labels, cell_profiles),
    )


def _study_remarks(
    columns: Mapping[str, Any], raw_labels: NDArray[np.object_], cell_profiles: Profiles
) -> tuple[str, ...]:
    """Sentences on labels without an id of their own that name no known cell type, or only a part of one."""
    raw_ids = (
        pd.Series(columns["cell_type_ontology_term_id"]).to_numpy() if "cell_type_ontology_term_id" in columns else None
    )
    distinct = pd.DataFrame({"label": raw_labels, "profile": cell_profiles.codes}).drop_duplicates()
    remarks = dict[str, None]()
    for row, label, code in distinct.itertuples():
        profile = cell_profiles.distinct[code]
        has_id = raw_ids is not None and term_by_id(str(raw_ids[row]), "CL") is not None
        if (profile.cell_type_id or profile.cell_type) and not has_id:
            remarks[_label_remark(str(label).strip(), profile)] = None
    return limit_remarks(sorted(filter(None, remarks)))


def limit_remarks(remarks: Sequence[str]) -> tuple[str, ...]:
    """Return the first `MAX_REMARKS` remarks, and the number of the others."""
    more = [f"and {len(remarks) - MAX_REMARKS:,} more labels that are no names of known cell types"]
    return (*remarks[:MAX_REMARKS], *more * (len(remarks) > MAX_REMARKS))


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


@dataclass(frozen=True)
class ColumnLabels:
    """Raw labels of a column; labels of the same Cell Ontology term are not merged."""

    labels: NDArray[np.str_] = field(repr=False)
    """Label of each cell; "" for placeholders ("unknown", "NA") and missing values."""
    term_ids: Mapping[str, str]
    """Cell Ontology id of each label, "" if it is not a term of the ontology."""
    texts: Mapping[str, tuple[str, ...]]
    """Texts of each label: the author's name, then those of the term."""
    remarks: tuple[str, ...] = ()
    """Sentences on labels that name no known cell type, and on those of which the term covers only a part."""


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
        If the column does not exist, has no label or is no grouping.
    """
    check_column(obs, key, option)
    check_grouping(obs[key], key, f"Pass a column with labels: {option}.")
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
    remarks: list[str] = []
    for name in np.unique(labels[labels != ""]).tolist():
        raw_id = _most_frequent(raw_ids[labels == name])
        profile = read_profile({"cell_type": name, "cell_type_ontology_term_id": raw_id, **context})
        term_ids[name] = profile.cell_type_id
        if term_by_id(raw_id, "CL") is None and (remark := _label_remark(name, profile)):
            remarks.append(remark)
    texts = {
        name: tuple(dict.fromkeys((name, *(label_texts(term_id) if term_id else ()))))
        for name, term_id in term_ids.items()
    }
    return ColumnLabels(labels, term_ids, texts, limit_remarks(remarks))


def _label_remark(name: str, profile: CellProfile) -> str:
    """Say that a label names no type, or that its term covers only a part of it; "" otherwise."""
    label = f"label '{name}'"
    if not profile.cell_type_id:
        return ResolvedType(label, None).remark
    match = candidate_terms("cell_type", name, tissue_id=profile.tissue_id, top=1)[0]
    resolved = ResolvedType(label, match.term, match.method, match.omitted)
    return "" if resolved.is_exact and not match.omitted else resolved.remark


def check_column(obs: pd.DataFrame, key: str, option: str) -> None:
    """Check that a column exists; the error lists similar columns.

    Raises
    ------
    InputError
        If the column does not exist.
    """
    if key in obs:
        return
    raise missing_column_error([str(name) for name in obs], key, option)


def _most_frequent(values: NDArray[np.object_]) -> str:
    counts = pd.Series(values[values != ""]).value_counts()
    return str(counts.index[0]) if len(counts) else ""
