"""Cell types that are left out of training, to evaluate annotation of types without training cells."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from okrcell.ontology.ontology import ontology
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import bundled_model

MIN_CELLS = 5
"""Minimum number of cells of a type in at least one data set; metrics of fewer are unreliable."""


@cache
def left_out_types() -> tuple[str, ...]:
    """Read the frozen list of ten Cell Ontology ids."""
    text = (files("okrcell.benchmarking.sets") / "left_out_types.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)["types"])


def is_left_out(term: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which cells are of a type of the list or of a descendant of one; descendants are left out of training too."""
    listed_ids, cells = set(left_out_types()), ontology("CL")
    unseen = [
        term_id
        for term_id in np.unique(term).tolist()
        if term_id and ({term_id} | cells.ancestors(term_id)) & listed_ids
    ]
    return np.isin(term, unseen)


def trained_types(model: str | None) -> list[str]:
    """List the types of the list that were not left out when a model (None: the bundled one) was trained.

    The types that were left out are in ``model.json``, under ``seen.left_out_types``.
    """
    facts: Mapping[str, Any] = load_checkpoint(model or bundled_model()).facts
    left_out = set(facts.get("seen", {}).get("left_out_types", ()))
    return [term_id for term_id in left_out_types() if term_id not in left_out]


def choose_left_out_types(
    evaluated: Sequence[NDArray[np.str_]], training: Sequence[NDArray[np.str_]]
) -> tuple[str, ...]:
    """Choose the types to leave out, by a rule that does not depend on any metric; ours.

    Of the types that have at least five cells in an evaluated data set and occur in a training data set, every second one in
    the order of their ids, beginning with the first. Half of the types of a data set are thus seen in training, including
    types close to the left-out ones, so a method must separate unseen from seen types.

    Parameters
    ----------
    evaluated
        For each evaluated data set, the Cell Ontology id of each cell ("" where there is none).
    training
        The same for each training data set.
    """
    counts = [np.unique(term[term != ""], return_counts=True) for term in evaluated]
    frequent = {term_id for term_ids, n_cells in counts for term_id in term_ids[n_cells >= MIN_CELLS].tolist()}
    trainable = {term_id for term in training for term_id in np.unique(term).tolist()}
    return tuple(sorted(frequent & trainable)[::2])
