"""Frozen draws of cells; pairs of reference and query for annotation, with the types that both sides resolve."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.datasets import LabeledDataset, load_dataset
from okrcell.errors import InputError
from okrcell.ontology.ontology import ontology
from okrcell.settings import Settings, parse_settings

MAX_CELLS = 3000
"""Maximum number of cells of a draw."""
SEED_FRACTION = 0.8


def hash_order(names: Iterable[str], key: str) -> NDArray[np.intp]:
    """Return the indices of the cells in a random order that depends only on their names and ``key``.

    Cells are sorted by the sha256 of key and name. Unlike the output of a random number generator, the order does not change
    with library versions, so it can be reproduced without storing it.
    """
    digests = [hashlib.sha256(f"{key}|{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.intp)


def draw_four_fifths(names: Iterable[str], set_name: str, seed: int, max_cells: int = MAX_CELLS) -> NDArray[np.intp]:
    """Draw four fifths of the cells, at most ``max_cells``; indices ascend."""
    order = hash_order(names, f"{set_name}|{seed}")
    return np.sort(order[: min(max_cells, max(int(len(order) * SEED_FRACTION), 1))])


def draw_at_most(names: Iterable[str], set_name: str, max_cells: int = MAX_CELLS) -> NDArray[np.intp]:
    """Return all cells, or a fixed draw of ``max_cells`` cells if there are more; indices ascend."""
    order = hash_order(names, f"{set_name}|all")
    return np.sort(order[:max_cells])


def draw_examples(names: Iterable[str], label: NDArray[np.str_], set_name: str, draw: int, k: int) -> NDArray[np.intp]:
    """Draw ``k`` cells of every label, at most half of its cells; indices ascend.

    The examples of a smaller ``k`` are a subset of those of a larger one. A label with a single cell has no example.
    """
    order = hash_order(names, f"{set_name}|few shot|{draw}")
    rows: list[NDArray[np.intp]] = []
    for name in np.unique(label[label != ""]).tolist():
        label_rows = order[label[order] == name]
        rows.append(label_rows[: min(k, len(label_rows) // 2)])
    return np.sort(np.concatenate(rows)) if rows else np.zeros(0, dtype=np.intp)


def seed_subset(dataset: LabeledDataset, seed: int) -> LabeledDataset:
    """Return the four fifths of the cells that a seed draws.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set and seed.
    """
    rows = draw_four_fifths(dataset.cells.obs_names, dataset.name, seed)
    _check_frozen(dataset, f"seed {seed}", rows)
    return dataset.subset(rows)


def full_subset(dataset: LabeledDataset) -> LabeledDataset:
    """Return all cells, or a fixed draw if there are more than a draw may have.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set.
    """
    rows = draw_at_most(dataset.cells.obs_names, dataset.name)
    _check_frozen(dataset, "all", rows)
    return dataset.subset(rows)


def example_rows(dataset: LabeledDataset, draw: int, k: int) -> NDArray[np.intp]:
    """Draw ``k`` few-shot examples of each label among these cells.

    Raises
    ------
    InputError
        If they differ from the frozen draw of this data set.
    """
    rows = draw_examples(dataset.cells.obs_names, dataset.labels, dataset.name, draw, k)
    _check_frozen(dataset, f"K {k} draw {draw}", rows)
    return rows


def digest(dataset: LabeledDataset, rows: NDArray[np.intp]) -> str:
    """Return a short digest of a draw: the number of cells, and the start of the sha256 of their names."""
    names = "\n".join(dataset.cells.obs_names[rows].tolist())
    return f"{len(rows)} {hashlib.sha256(names.encode()).hexdigest()[:16]}"


@cache
def frozen_digests() -> dict[str, dict[str, str]]:
    """Read the frozen list: data set to draw to its `digest`."""
    digests: Any = json.loads((files("okrcell.benchmarking.datasets") / "splits.json").read_text(encoding="utf-8"))
    return digests


def _check_frozen(dataset: LabeledDataset, draw: str, rows: NDArray[np.intp]) -> None:
    expected = frozen_digests().get(dataset.name, {}).get(draw)
    if expected is not None and expected != (actual := digest(dataset, rows)):
        raise InputError(
            f"The draw '{draw}' of the set {dataset.name} is not the one that was frozen ({actual} instead of {expected}): the "
            "cell names or their order differ from the file of the card; use that file."
        )


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
    text = (files("okrcell.benchmarking.datasets") / "transfers.yaml").read_text(encoding="utf-8")
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
