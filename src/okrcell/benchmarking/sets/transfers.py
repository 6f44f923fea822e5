"""Pairs of reference and query for annotation, with the cell types that both sides resolve."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml

from okrcell.benchmarking.sets.known_cells import KnownCells, known_cells
from okrcell.knowledge.ontology import ontology
from okrcell.settings import Settings, parse_settings


class Side(Settings):
    """Cells of a data set, or of selected batches of it."""

    set: str
    column: str | None = None
    """Batch column; None selects all cells."""
    batches: tuple[str, ...] = ()


class Transfer(Settings):
    """A pair of reference and query of the task annotation."""

    name: str
    title: str
    reference: Side
    query: Side
    types: Mapping[str, str] = {}
    """Cell Ontology id to the broader one that replaces it here; frozen output of `shared_types`."""


@cache
def transfers() -> dict[str, Transfer]:
    """Read all transfers, by name."""
    text = (files("okrcell.benchmarking.sets") / "transfers.yaml").read_text(encoding="utf-8")
    return {one["name"]: parse_settings(Transfer, one, "transfers.yaml") for one in yaml.safe_load(text)}


def side_of(side: Side, types: Mapping[str, str], data: Path | None) -> KnownCells:
    """Return the cells of a side that have a type, with types mapped to those that both sides resolve."""
    known = known_cells(side.set, data)
    term = np.array([types.get(word, word) for word in known.term.tolist()], dtype=np.str_)
    kept = term != ""
    name = side.set
    if side.column is not None:
        kept &= np.isin(known.batch[side.column], side.batches)
        name += f" {side.column} {' '.join(side.batches)}"
    rows = np.flatnonzero(kept)
    some = known.some(rows)
    return KnownCells(name, some.cells, some.words, term[rows], some.batch, some.facts)


def shared_types(one: Sequence[str], other: Sequence[str]) -> dict[str, str]:
    """Map each type that only one side has to its nearest ancestor that the other side has.

    For example, "naive CD4 T cell" becomes "CD4 T cell" if the other study has no finer type. Types that both sides have are
    not merged, even if one is an ancestor of the other.
    """
    cells = ontology("CL")
    led: dict[str, str] = {}
    for mine, theirs in ((set(one), set(other)), (set(other), set(one))):
        for word in sorted(mine - theirs):
            above = cells.ancestors(word) & theirs
            if above:
                led[word] = min(above, key=lambda term: (cells.distance(word, term) or 0, term))
    return dict(sorted(led.items()))
