"""Which term each label of a table of cells was given, to review and to override."""

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
"""Of the table: what was read, where, in how many cells; what it was given, how, how surely; what else it may be."""

Key = tuple[str, str, str]
"""Column, label, and for a cell type the id of its tissue."""

Progress = Callable[[int, int, str], None]
"""Told after each label: how many are done, how many there are, the label."""


@dataclass(frozen=True)
class Decisions:
    """The terms that a table of cells was given."""

    ids: dict[str, pd.Categorical]
    """Column of obs: for each row its term id, "" where unsure."""
    table: pd.DataFrame
    """One row for each distinct label, with `COLUMNS`; the most frequent first within a column."""
    overridden: int = 0
    """Rows of the overrides that decided something."""
    unused: tuple[str, ...] = ()
    """Rows of the overrides that decided nothing, in words."""


def decide(
    obs: pd.DataFrame,
    *,
    overrides: pd.DataFrame | None = None,
    embedder: TextEmbedder | None = None,
    progress: Progress | None = None,
) -> Decisions:
    """Give each row of ``obs`` the ids of its terms, for the columns of `ONTOLOGY_OF` that it has.

    An author's own valid id is kept (an obsolete one is brought up to date), an override outranks it, and what the
    words leave in doubt stays empty. Each distinct label is looked up once. An override of a cell type holds in its
    tissue; in another one it holds where all overrides of that label agree, so that a tissue may be corrected too.
    """
    chosen = _Overrides(overrides)
    ids: dict[str, pd.Categorical] = {}
    rows: list[dict[str, object]] = []
    # Tissues come first: a cell type is read in its own.
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
    """Read a table of decisions that a person has gone through: of its columns `COLUMNS` those with a label and term_id.

    Raises
    ------
    InputError
        If it is no such table, or names a term that does not exist; the message has its line.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"No overrides at {path}.") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        told = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
        reason = told.splitlines()[0]
        raise InputError(f"{path} cannot be read as a table with tabs ({reason}).") from None
    return checked_overrides(table, str(path))


def checked_overrides(table: pd.DataFrame, origin: str = "overrides") -> pd.DataFrame:
    """Check that a table has column, label and term_id (tissue may be there), and that every id exists.

    Raises
    ------
    InputError
        What is missing, or which line has a term that does not exist.
    """
    needed = [name for name in ("column", "label", "term_id") if name not in table]
    if needed:
        raise InputError(
            f"{origin} must have the columns column, label and term_id, parted by tabs, but it has no "
            f"{' and no '.join(needed)}. Edit the table that standardise wrote, or write these three."
        )
    table = table.fillna("").astype(str)
    for line, (column, term_id) in enumerate(zip(table["column"], table["term_id"], strict=True), start=2):
        if column not in ONTOLOGY_OF:
            raise InputError(f"{origin}, line {line}: no column '{column}'; known here: {', '.join(ONTOLOGY_OF)}.")
        if term_id.strip() and term_by_id(term_id, *ONTOLOGY_OF[column]) is None:
            raise InputError(
                f"{origin}, line {line}: '{term_id}' is no term of {' or '.join(ONTOLOGY_OF[column])}. "
                "Write an id that exists, or leave it empty for unsure."
            )
    return table


def write_decisions(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table with tabs, whole or not at all; edited, it serves as overrides."""
    with whole_file(path) as draft:
        table.to_csv(draft, sep="\t", index=False, encoding="utf-8")


def unsure(table: pd.DataFrame) -> int:
    """Count the labels that no term was sure for; those that a person left empty are decided."""
    return int(((table["term_id"] == "") & (table["how"] != "override")).sum())


def told_apart(table: pd.DataFrame) -> dict[str, int]:
    """Count the labels that were given a term, and those left empty, by how."""
    return {str(how) or "unsure": int(number) for how, number in table["how"].value_counts().items()}


def snapshots(columns: Sequence[str]) -> dict[str, str]:
    """Name the releases of the ontologies that answer for some columns."""
    return {prefix: ontology(prefix).snapshot for column in columns for prefix in ONTOLOGY_OF[column][:1]}


class _Overrides:
    """What a person decided, and which of it was used."""

    def __init__(self, table: pd.DataFrame | None) -> None:
        self._rows: list[tuple[Key, str]] = []
        if table is not None:
            table = checked_overrides(table)
            # A row that was unsure and was left so is no decision.
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
        """Give the term id decided for a label, "" for none; None where nobody decided."""
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
    """A column of obs as codes, which take little memory for many cells."""

    codes: NDArray[np.int32]
    """Per row the place of its value among ``names``."""
    names: Sequence[str]
    """The distinct values; the first is "", for a value that is missing."""


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
    # Two values may be one in writing, such as 1 and "1".
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
