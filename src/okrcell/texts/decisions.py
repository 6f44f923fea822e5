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
from okrcell.files import whole_file
from okrcell.knowledge.matching.matcher import SURE
from okrcell.knowledge.ontology import ontology
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.standardise import ONTOLOGY_OF, matches, term_by_id

COLUMNS = ("column", "label", "tissue", "cells", "term_id", "term_name", "how", "score", "runners_up")
"""Columns of the table: obs column, label, tissue id, number of cells; term id and name, method, score; other candidates."""

Key = tuple[str, str, str]
"""Column, label, and for a cell type the id of its tissue."""

Progress = Callable[[int, int, str], None]
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


def decide(
    obs: pd.DataFrame,
    *,
    overrides: pd.DataFrame | None = None,
    embedder: TextEmbedder | None = None,
    progress: Progress | None = None,
) -> Decisions:
    """Assign ontology term ids to each row of ``obs``, for the columns of `ONTOLOGY_OF` that it has.

    An override outranks a valid id of the author, which outranks the label; obsolete ids are replaced by current ones and
    ambiguous labels stay empty. Each distinct label is looked up once. An override of a cell type applies to its tissue;
    it applies to other tissues if all overrides of the label agree, so that a tissue can be corrected as well.

    Parameters
    ----------
    obs
        Cells by columns, with labels and optional ``<column>_ontology_term_id`` columns.
    overrides
        Table with the columns column, label, term_id and optionally tissue and how (see `checked_overrides`).
    embedder
        Text embedder for labels that are not resolved by words.
    progress
        Called after each label.

    Raises
    ------
    InputError
        If the overrides lack a column or have an unknown term.
    """
    chosen = _Overrides(overrides)
    ids: dict[str, pd.Categorical] = {}
    rows: list[dict[str, object]] = []
    # Tissues come first, because cell types are matched within their tissue.
    for column in sorted(ONTOLOGY_OF, key=lambda column: column != "tissue"):
        if not {column, _twin(column)} & set(obs):
            continue
        tissues = ids.get("tissue") if column == "cell_type" else None
        parts = (_read(obs, column), _read(obs, _twin(column)), _as_codes(tissues, len(obs)))
        group, first = _distinct([part.codes for part in parts])
        cells = np.bincount(group, minlength=len(first))
        given_ids: list[str] = []
        for done, where in enumerate(first):
            words, given, place = (part.names[int(part.codes[int(where)])] for part in parts)
            row = _decide(column, words, given, place, chosen, embedder)
            given_ids.append(str(row["term_id"]))
            if words or given:
                rows.append(row | {"cells": int(cells[done])})
            if progress is not None:
                progress(done + 1, len(first), words)
        code, kinds = pd.factorize(np.array(given_ids, dtype=object), sort=True)
        ids[column] = pd.Categorical.from_codes(code[group], categories=pd.Index(kinds, dtype=object))
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    order = [list(ONTOLOGY_OF).index(str(column)) for column in table["column"]]
    table = table.assign(order=order).sort_values(["order", "cells"], ascending=[True, False], kind="stable")
    return Decisions(ids, table.drop(columns="order").reset_index(drop=True), chosen.count(), chosen.unused())


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
        told = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
        reason = told.splitlines()[0]
        raise InputError(f"{path} cannot be read as a tab-separated table ({reason}).") from None
    return checked_overrides(table, str(path))


def checked_overrides(table: pd.DataFrame, origin: str = "overrides") -> pd.DataFrame:
    """Check that a table has the columns column, label and term_id (tissue is optional) and that every id exists.

    Returns
    -------
    Table of strings, with "" for missing values.

    Raises
    ------
    InputError
        If a column is missing or a term does not exist; the message gives the line.
    """
    needed = [name for name in ("column", "label", "term_id") if name not in table]
    if needed:
        raise InputError(
            f"{origin} must have the tab-separated columns column, label and term_id, but it has no "
            f"{' and no '.join(needed)}. Edit the table written by standardise, or add these columns."
        )
    table = table.fillna("").astype(str)
    for line, (column, term_id) in enumerate(zip(table["column"], table["term_id"], strict=True), start=2):
        if column not in ONTOLOGY_OF:
            raise InputError(f"{origin}, line {line}: no column '{column}'; choose from {', '.join(ONTOLOGY_OF)}.")
        if term_id.strip() and term_by_id(term_id, *ONTOLOGY_OF[column]) is None:
            raise InputError(
                f"{origin}, line {line}: '{term_id}' is not a term of {' or '.join(ONTOLOGY_OF[column])}. "
                "Use an existing id, or leave it empty for no term."
            )
    return table


def write_decisions(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table tab-separated and atomically; after editing it can be used as overrides."""
    with whole_file(path) as draft:
        table.to_csv(draft, sep="\t", index=False, encoding="utf-8")


def unsure(table: pd.DataFrame) -> int:
    """Count the labels without an accepted term, except those that an override leaves empty."""
    return int(((table["term_id"] == "") & (table["how"] != "override")).sum())


def told_apart(table: pd.DataFrame) -> dict[str, int]:
    """Count the labels by method (column ``how``); labels without a term are counted as "unsure"."""
    return {str(how) or "unsure": int(number) for how, number in table["how"].value_counts().items()}


def snapshots(columns: Sequence[str]) -> dict[str, str]:
    """Return the ontology releases that are used for some columns, by prefix."""
    return {prefix: ontology(prefix).snapshot for column in columns for prefix in ONTOLOGY_OF[column][:1]}


class _Overrides:
    """Overrides, with a record of which were used."""

    def __init__(self, table: pd.DataFrame | None) -> None:
        self._rows: list[tuple[Key, str]] = []
        if table is not None:
            table = checked_overrides(table)
            # A row without term and method was undecided and left unchanged: it is not an override.
            places = table["tissue"] if "tissue" in table else [""] * len(table)
            left = (
                (table["term_id"].str.strip() == "") & (table["how"] == "") if "how" in table else [False] * len(table)
            )
            values = zip(table["column"], table["label"], places, table["term_id"], left, strict=True)
            self._rows = [((*key, place), term_id.strip()) for *key, place, term_id, idle in values if not idle]
        self._of_key: dict[Key, str] = dict(self._rows)
        self._of_label: dict[tuple[str, str], set[str]] = defaultdict(set)
        for (column, label, _), term_id in self._of_key.items():
            self._of_label[column, label].add(term_id)
        self._asked: set[Key] = set()
        self._shared: set[tuple[str, str]] = set()

    def find(self, column: str, label: str, place: str) -> str | None:
        """Return the overriding term id of a label, "" for no term; None without an override."""
        for key in ((column, label, place), (column, label, "")):
            if key in self._of_key:
                self._asked.add(key)
                return self._of_key[key]
        agreed = self._of_label.get((column, label), set())
        if len(agreed) != 1:
            return None
        self._shared.add((column, label))
        return next(iter(agreed))

    def _used(self, key: Key, term_id: str) -> bool:
        return self._of_key[key] == term_id and (key in self._asked or key[:2] in self._shared)

    def count(self) -> int:
        return sum(self._used(*row) for row in self._rows)

    def unused(self) -> tuple[str, ...]:
        rows = ((key, term_id) for key, term_id in self._rows if not self._used(key, term_id))
        return tuple(
            f"{column} '{label}'{f' in {place}' if place else ''} as {term_id or 'nothing'}"
            for (column, label, place), term_id in rows
        )


@dataclass(frozen=True)
class _Column:
    """Column of obs as integer codes, to save memory."""

    codes: NDArray[np.int32]
    """Index into ``names`` of each row."""
    names: Sequence[str]
    """Distinct values; the first is "" for a missing value."""


def _read(obs: pd.DataFrame, column: str) -> _Column:
    return _as_codes(cast(pd.Series, obs[column]) if column in obs else None, len(obs))


def _as_codes(values: pd.Series | pd.Categorical | None, rows: int) -> _Column:
    if values is None:
        return _Column(np.zeros(rows, dtype=np.int32), ("",))
    if isinstance(values, pd.Series) and not isinstance(values.dtype, pd.CategoricalDtype):
        codes, kinds = pd.factorize(values)
    else:
        category = pd.Categorical(values)
        codes, kinds = category.codes, category.categories
    # Different values may have the same string, such as 1 and "1".
    same, names = pd.factorize(np.array(["", *map(str, kinds)], dtype=object))
    return _Column(same[codes + 1].astype(np.int32), [str(name) for name in names])


def _distinct(columns: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    group = np.zeros(len(columns[0]), dtype=np.int64)
    for codes in columns:
        group = pd.factorize(group * (int(codes.max(initial=0)) + 1) + codes)[0].astype(np.int64)
    return group, np.unique(group, return_index=True)[1].astype(np.int64)


def _decide(
    column: str, words: str, given: str, place: str, chosen: _Overrides, embedder: TextEmbedder | None
) -> dict[str, object]:
    row: dict[str, object] = {"column": column, "label": words or given, "tissue": place, "runners_up": ""}
    nothing = {"term_id": "", "term_name": "", "how": "", "score": 0.0}
    decided = chosen.find(column, words or given, place)
    if decided is not None:
        term = term_by_id(decided, *ONTOLOGY_OF[column])
        if term is None:
            return row | nothing | {"how": "override"}
        return row | {"term_id": term.id, "term_name": term.name, "how": "override", "score": 1.0}
    own = term_by_id(given, *ONTOLOGY_OF[column])
    if own is not None:
        return row | {"term_id": own.id, "term_name": own.name, "how": "id", "score": 1.0}
    found = matches(column, words, tissue_id=place, embedder=embedder) if words else ()
    best = found[0] if found and found[0].score >= SURE else None
    others = found if best is None else found[1:]
    row["runners_up"] = "; ".join(f"{other.term.id} {other.term.name} ({other.score:.2f})" for other in others)
    if best is None:
        return row | nothing
    return row | {
        "term_id": best.term.id, "term_name": best.term.name, "how": best.how, "score": round(best.score, 3)
    }  # fmt: skip


def _twin(column: str) -> str:
    return f"{column}_ontology_term_id"
