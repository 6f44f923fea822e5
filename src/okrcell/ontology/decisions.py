"""Reviewable table of label-to-term decisions, and overrides."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.escaping import escape_formulas, unescape_formula
from okrcell.evidence import TextEmbedder
from okrcell.ontology.matcher import MIN_MATCH_SCORE
from okrcell.ontology.ontology import ontology
from okrcell.ontology.standardise import COLUMN_ONTOLOGIES, candidate_terms, term_by_id
from okrcell.storage import atomic_file

COLUMNS = ("column", "label", "tissue", "cells", "term_id", "term_name", "how", "score", "runners_up", "omitted")
"""Columns of the table: obs column, label, tissue id, number of cells; term id and name, method, score; other candidates;
words of the label that the term does not cover."""

DecisionKey = tuple[str, str, str]
"""Column, label, and for a cell type the id of its tissue."""

DecisionProgress = Callable[[int, int, str], None]
"""Callback with (labels done, labels in total, label), called after each label."""


@dataclass(frozen=True)
class Decisions:
    """Terms of all labels in a table of cells."""

    ids: dict[str, pd.Categorical]
    """By column of obs: term id of each row, "" if undecided."""
    table: pd.DataFrame
    """One row for each distinct label, with `COLUMNS`; most frequent first within a column."""
    overridden: int = 0
    """Number of overrides that were used."""
    unused: tuple[str, ...] = ()
    """Descriptions of the overrides that were not used."""


def decide_terms(
    obs: pd.DataFrame,
    *,
    overrides: pd.DataFrame | None = None,
    embedder: TextEmbedder | None = None,
    progress: DecisionProgress | None = None,
) -> Decisions:
    """Assign ontology term ids to each row of ``obs``, for the columns of `COLUMN_ONTOLOGIES` that it has.

    An override outranks a valid id of the author, which outranks the label; obsolete ids are replaced by current ones and
    ambiguous labels stay empty. Each distinct label is looked up once. An override of a cell type applies to its tissue;
    it applies to other tissues if all overrides of the label agree, so that a tissue can be corrected as well.

    Parameters
    ----------
    obs
        Cells by columns, with labels and optional ``<column>_ontology_term_id`` columns.
    overrides
        Table with the columns column, label, term_id and optionally tissue and how (see `check_overrides`).
    embedder
        Text embedder for labels that are not resolved by words.
    progress
        Called after each label.

    Raises
    ------
    InputError
        If the overrides lack a column or have an unknown term.
    """
    decided_overrides = _Overrides(overrides)
    ids: dict[str, pd.Categorical] = {}
    rows: list[dict[str, object]] = []
    # Tissues come first, because cell types are matched within their tissue.
    for column in sorted(COLUMN_ONTOLOGIES, key=lambda column: column != "tissue"):
        if not {column, _id_column(column)} & set(obs):
            continue
        tissue_ids = ids.get("tissue") if column == "cell_type" else None
        parts = (_read_column(obs, column), _read_column(obs, _id_column(column)), _as_codes(tissue_ids, len(obs)))
        group, first_rows = _group_rows([part.codes for part in parts])
        n_cells = np.bincount(group, minlength=len(first_rows))
        decided_ids: list[str] = []
        for i, row_index in enumerate(first_rows):
            label, author_id, tissue_id = (part.names[int(part.codes[int(row_index)])] for part in parts)
            row = _decide_label(column, label, author_id, tissue_id, decided_overrides, embedder)
            decided_ids.append(str(row["term_id"]))
            if label or author_id:
                rows.append(row | {"cells": int(n_cells[i])})
            if progress is not None:
                progress(i + 1, len(first_rows), label)
        codes, term_ids = pd.factorize(np.array(decided_ids, dtype=object), sort=True)
        ids[column] = pd.Categorical.from_codes(codes[group], categories=pd.Index(term_ids, dtype=object))
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    order = [list(COLUMN_ONTOLOGIES).index(str(column)) for column in table["column"]]
    table = table.assign(order=order).sort_values(["order", "cells"], ascending=[True, False], kind="stable")
    return Decisions(
        ids, table.drop(columns="order").reset_index(drop=True), decided_overrides.count(), decided_overrides.unused()
    )


def read_overrides(path: str | Path) -> pd.DataFrame:
    """Read a reviewed table of decisions, tab-separated; column, label and term_id are required.

    Raises
    ------
    InputError
        If the file is not such a table or has an unknown term; the message gives the line.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"There is no file of overrides at {path}.") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        message = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
        reason = message.splitlines()[0]
        raise InputError(f"{path} cannot be read as a tab-separated table ({reason}).") from None
    return check_overrides(table.map(unescape_formula), str(path))


def check_overrides(table: pd.DataFrame, origin: str = "overrides") -> pd.DataFrame:
    """Check that a table has the columns column, label and term_id (tissue is optional) and that every id exists.

    Returns
    -------
    Table of strings, with "" for missing values.

    Raises
    ------
    InputError
        If a column is missing or a term does not exist; the message gives the line.
    """
    missing = [name for name in ("column", "label", "term_id") if name not in table]
    if missing:
        raise InputError(
            f"{origin} must have the tab-separated columns column, label and term_id, but it has no "
            f"{' and no '.join(missing)}. Edit the table written by standardise, or add these columns."
        )
    table = table.fillna("").astype(str)
    for line, (column, term_id) in enumerate(zip(table["column"], table["term_id"], strict=True), start=2):
        if column not in COLUMN_ONTOLOGIES:
            raise InputError(
                f"{origin}, line {line}: no column '{column}'; choose from {', '.join(COLUMN_ONTOLOGIES)}."
            )
        if term_id.strip() and term_by_id(term_id, *COLUMN_ONTOLOGIES[column]) is None:
            raise InputError(
                f"{origin}, line {line}: '{term_id}' is not a term of {' or '.join(COLUMN_ONTOLOGIES[column])}. "
                "Use an existing id, or leave it empty for no term."
            )
    return table


def write_decisions(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table tab-separated and atomically; after editing it can be used as overrides."""
    with atomic_file(path) as draft:
        escape_formulas(table).to_csv(draft, sep="\t", index=False, encoding="utf-8")


def count_undecided(table: pd.DataFrame) -> int:
    """Count the labels without an accepted term, except those that an override leaves empty."""
    return int(((table["term_id"] == "") & (table["how"] != "override")).sum())


def count_by_method(table: pd.DataFrame) -> dict[str, int]:
    """Count the labels by method (column ``how``); labels without a term are counted as "unsure"."""
    return {str(method) or "unsure": int(count) for method, count in table["how"].value_counts().items()}


def ontology_releases(columns: Sequence[str]) -> dict[str, str]:
    """Return the ontology releases that are used for some columns, by prefix."""
    return {prefix: ontology(prefix).snapshot for column in columns for prefix in COLUMN_ONTOLOGIES[column][:1]}


class _Overrides:
    """Overrides, with a record of which were used."""

    def __init__(self, table: pd.DataFrame | None) -> None:
        self._rows: list[tuple[DecisionKey, str]] = []
        if table is not None:
            table = check_overrides(table)
            # A row without term and method was undecided and left unchanged: it is not an override.
            tissue_ids = table["tissue"] if "tissue" in table else [""] * len(table)
            undecided = (
                (table["term_id"].str.strip() == "") & (table["how"] == "") if "how" in table else [False] * len(table)
            )
            values = zip(table["column"], table["label"], tissue_ids, table["term_id"], undecided, strict=True)
            self._rows = [
                ((*key, tissue_id), term_id.strip())
                for *key, tissue_id, term_id, is_undecided in values
                if not is_undecided
            ]
        self._by_key: dict[DecisionKey, str] = dict(self._rows)
        self._by_label: dict[tuple[str, str], set[str]] = defaultdict(set)
        for (column, label, _), term_id in self._by_key.items():
            self._by_label[column, label].add(term_id)
        self._used_keys: set[DecisionKey] = set()
        self._used_labels: set[tuple[str, str]] = set()

    def find(self, column: str, label: str, tissue_id: str) -> str | None:
        """Return the overriding term id of a label, "" for no term; None without an override."""
        for key in ((column, label, tissue_id), (column, label, "")):
            if key in self._by_key:
                self._used_keys.add(key)
                return self._by_key[key]
        term_ids = self._by_label.get((column, label), set())
        if len(term_ids) != 1:
            return None
        self._used_labels.add((column, label))
        return next(iter(term_ids))

    def _is_used(self, key: DecisionKey, term_id: str) -> bool:
        return self._by_key[key] == term_id and (key in self._used_keys or key[:2] in self._used_labels)

    def count(self) -> int:
        return sum(self._is_used(*row) for row in self._rows)

    def unused(self) -> tuple[str, ...]:
        rows = ((key, term_id) for key, term_id in self._rows if not self._is_used(key, term_id))
        return tuple(
            f"{column} '{label}'{f' in {tissue_id}' if tissue_id else ''} as {term_id or 'nothing'}"
            for (column, label, tissue_id), term_id in rows
        )


@dataclass(frozen=True)
class _CodedColumn:
    """Column of obs as integer codes, to save memory."""

    codes: NDArray[np.int32]
    """Index into ``names`` of each row."""
    names: Sequence[str]
    """Distinct values; the first is "" for a missing value."""


def _read_column(obs: pd.DataFrame, column: str) -> _CodedColumn:
    return _as_codes(cast(pd.Series, obs[column]) if column in obs else None, len(obs))


def _as_codes(values: pd.Series | pd.Categorical | None, n_rows: int) -> _CodedColumn:
    if values is None:
        return _CodedColumn(np.zeros(n_rows, dtype=np.int32), ("",))
    if isinstance(values, pd.Series) and not isinstance(values.dtype, pd.CategoricalDtype):
        codes, values_by_code = pd.factorize(values)
    else:
        category = pd.Categorical(values)
        codes, values_by_code = category.codes, category.categories
    # Different values may have the same string, such as 1 and "1".
    name_codes, names = pd.factorize(np.array(["", *map(str, values_by_code)], dtype=object))
    return _CodedColumn(name_codes[codes + 1].astype(np.int32), [str(name) for name in names])


def _group_rows(columns: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    group = np.zeros(len(columns[0]), dtype=np.int64)
    for codes in columns:
        group = pd.factorize(group * (int(codes.max(initial=0)) + 1) + codes)[0].astype(np.int64)
    return group, np.unique(group, return_index=True)[1].astype(np.int64)


def _decide_label(
    column: str, label: str, author_id: str, tissue_id: str, overrides: _Overrides, embedder: TextEmbedder | None
) -> dict[str, object]:
    row: dict[str, object] = {
        "column": column,
        "label": label or author_id,
        "tissue": tissue_id,
        "runners_up": "",
        "omitted": "",
    }
    undecided = {"term_id": "", "term_name": "", "how": "", "score": 0.0}
    override_id = overrides.find(column, label or author_id, tissue_id)
    if override_id is not None:
        term = term_by_id(override_id, *COLUMN_ONTOLOGIES[column])
        if term is None:
            return row | undecided | {"how": "override"}
        return row | {"term_id": term.id, "term_name": term.name, "how": "override", "score": 1.0}
    author_term = term_by_id(author_id, *COLUMN_ONTOLOGIES[column])
    if author_term is not None:
        return row | {"term_id": author_term.id, "term_name": author_term.name, "how": "id", "score": 1.0}
    candidates = candidate_terms(column, label, tissue_id=tissue_id, embedder=embedder) if label else ()
    accepted = candidates[0] if candidates and candidates[0].score >= MIN_MATCH_SCORE else None
    runners_up = candidates if accepted is None else candidates[1:]
    row["runners_up"] = "; ".join(
        f"{candidate.term.id} {candidate.term.name} ({candidate.score:.2f})" for candidate in runners_up
    )
    if accepted is None:
        return row | undecided
    return row | {
        "term_id": accepted.term.id, "term_name": accepted.term.name, "how": accepted.method, "score": round(accepted.score, 3),
        "omitted": " ".join(accepted.omitted) if accepted.method == "part" else "",
    }  # fmt: skip


def _id_column(column: str) -> str:
    return f"{column}_ontology_term_id"
