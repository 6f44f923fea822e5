"""Pairs of reference and query for annotation, with the cell types that both sides resolve."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml

from okrcell.benchmarking.datasets.datasets import LabeledDataset, load_dataset
from okrcell.ontology.ontology import ontology
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
    return {entry["name"]: parse_settings(Transfer, entry, "transfers.yaml") for entry in yaml.safe_load(text)}


def load_side(side: Side, types: Mapping[str, str], data: Path | None) -> LabeledDataset:
    """Return the cells of a side that have a type, with types mapped to those that both sides resolve."""
    dataset = load_dataset(side.set, data)
    term = np.array([types.get(term_id, term_id) for term_id in dataset.term_ids.tolist()], dtype=np.str_)
    mask = term != ""
    name = side.set
    if side.column is not None:
        mask &= np.isin(dataset.batch[side.column], side.batches)
        name += f" {side.column} {' '.join(side.batches)}"
    rows = np.flatnonzero(mask)
    subset = dataset.subset(rows)
    return LabeledDataset(name, subset.cells, subset.author_labels, term[rows], subset.batch, subset.facts)


def shared_types(reference_types: Sequence[str], query_types: Sequence[str]) -> dict[str, str]:
    """Map each type that only one side has to its nearest ancestor that the other side has.

    For example, "naive CD4 T cell" becomes "CD4 T cell" if the other study has no finer type. Types that both sides have are
    not merged, even if one is an ancestor of the other.
    """
    cells = ontology("CL")
    mapping: dict[str, str] = {}
    for source, target in ((set(reference_types), set(query_types)), (set(query_types), set(reference_types))):
        for term_id in sorted(source - target):
            ancestors = cells.ancestors(term_id) & target
            if ancestors:
                mapping[term_id] = min(ancestors, key=lambda term: (cells.distance(term_id, term) or 0, term))
    return dict(sorted(mapping.items()))
