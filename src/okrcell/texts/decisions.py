"""Which term each label of a table of cells was given, to review and to override."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

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

    ids: dict[str, list[str]]
    """Column of obs: for each row its term id, "" where unsure."""
    table: pd.DataFrame
    """One row for each distinct label, with `COLUMNS`; the most frequent first within a column."""


def decide(
    obs: pd.DataFrame,
    *,
    overrides: pd.DataFrame | None = None,
    embedder: TextEmbedder | None = None,
    progress: Progress | None = None,
) -> Decisions:
    """Give each row of ``obs`` the ids of its terms, for the columns of `ONTOLOGY_OF` that it has.

    An author's own valid id is kept (an obsolete one is brought up to date), an override outranks it, and what the
    words leave in doubt stays empty. Each distinct label is looked up once.
    """
    chosen = {} if overrides is None else _by_key(overrides)
    labels = {column: _read(obs, column) for column in ONTOLOGY_OF if {column, _twin(column)} & set(obs)}
    ids: dict[str, list[str]] = {}
    rows: list[dict[str, object]] = []
    # Tissues come first: a cell type is read in its own.
    for column in sorted(labels, key=lambda column: column != "tissue"):
        tissues = ids.get("tissue") if column == "cell_type" else None
        frame = labels[column].assign(place=tissues or "")
        groups = frame.groupby(["words", "given", "place"], sort=False).indices
        ids[column] = [""] * len(obs)
        for done, (key, where) in enumerate(groups.items()):
            words, given, place = cast(Key, key)
            row = _decide(column, words, given, place, chosen, embedder)
            for number in where:
                ids[column][int(number)] = str(row["term_id"])
            if words or given:
                rows.append(row | {"cells": len(where)})
            if progress is not None:
                progress(done + 1, len(groups), words)
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    order = [list(ONTOLOGY_OF).index(str(column)) for column in table["column"]]
    table = table.assign(order=order).sort_values(["order", "cells"], ascending=[True, False], kind="stable")
    return Decisions(ids, table.drop(columns="order").reset_index(drop=True))


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
        reason = (str(error) or type(error).__name__).splitlines()[0]
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


def _decide(
    column: str, words: str, given: str, place: str, chosen: dict[Key, str], embedder: TextEmbedder | None
) -> dict[str, object]:
    row: dict[str, object] = {"column": column, "label": words or given, "tissue": place, "runners_up": ""}
    nothing = {"term_id": "", "term_name": "", "how": "", "score": 0.0}
    for key in ((column, words or given, place), (column, words or given, "")):
        if key in chosen:
            term = term_by_id(chosen[key], *ONTOLOGY_OF[column])
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


def _by_key(overrides: pd.DataFrame) -> dict[Key, str]:
    table = checked_overrides(overrides)
    places = table["tissue"] if "tissue" in table else [""] * len(table)
    values = zip(table["column"], table["label"], places, table["term_id"], strict=True)
    return {(column, label, place): term_id for column, label, place, term_id in values}


def _read(obs: pd.DataFrame, column: str) -> pd.DataFrame:
    words, given = _text(obs, column), _text(obs, _twin(column))
    return pd.DataFrame({"words": words, "given": given})


def _text(obs: pd.DataFrame, column: str) -> Sequence[str]:
    if column not in obs:
        return [""] * len(obs)
    values = np.asarray(obs[column].astype(object), dtype=object)
    return ["" if value is None or value != value else str(value) for value in values]  # noqa: PLR0124 - NaN alone is not itself


def _twin(column: str) -> str:
    return f"{column}_ontology_term_id"


def told_apart(table: pd.DataFrame) -> dict[str, int]:
    """Count the labels that were given a term, and those left empty, by how."""
    return {str(how) or "unsure": int(number) for how, number in table["how"].value_counts().items()}


def snapshots(columns: Sequence[str]) -> dict[str, str]:
    """Name the releases of the ontologies that answer for some columns."""
    return {prefix: ontology(prefix).snapshot for column in columns for prefix in ONTOLOGY_OF[column][:1]}
