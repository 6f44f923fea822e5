"""The cell types that a model learns from words alone, so that it can be asked about types never seen as cells."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from okrcell.knowledge.ontology import ontology
from okrcell.model.checkpoint import load_checkpoint
from okrcell.model.embedder import bundled_model

FEWEST_CELLS = 5
"""In one set at least; with fewer, a figure says little."""


@cache
def left_out_types() -> tuple[str, ...]:
    """Read the list: ten Cell Ontology ids, frozen."""
    text = (files("okrcell.benchmarking.sets") / "left_out_types.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)["types"])


def of_left_out_type(term: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Tell which cells are of a type of the list, or of a kind of one: kinds were left out with it."""
    listed, cells = set(left_out_types()), ontology("CL")
    unseen = [word for word in np.unique(term).tolist() if word and ({word} | cells.ancestors(word)) & listed]
    return np.isin(term, unseen)


def has_seen(model: str | None) -> list[str]:
    """List the types of the list that a model (None is the bundled one) does not say it was kept from in learning.

    A model says so in ``model.json``, as ``seen.left_out_types``.
    """
    facts: Mapping[str, Any] = load_checkpoint(model or bundled_model()).facts
    kept_from = set(facts.get("seen", {}).get("left_out_types", ()))
    return [word for word in left_out_types() if word not in kept_from]


def every_second(scored: Sequence[NDArray[np.str_]], learned: Sequence[NDArray[np.str_]]) -> tuple[str, ...]:
    """Choose types to leave out, by a rule that looks at no figure; ours.

    Of the types that some set has at least five cells of, and that can be learned from at all, every second one in the order
    of their ids, beginning with the first. So half of what a set holds stays known, and near kin of what is left out too:
    an answer must tell a type known from words alone from types known from cells.

    Parameters
    ----------
    scored
        For each set that is asked about, the Cell Ontology id of each cell ("" where there is none).
    learned
        The same for each set that models learn from.
    """
    counted = [np.unique(term[term != ""], return_counts=True) for term in scored]
    enough = {word for words, number in counted for word in words[number >= FEWEST_CELLS].tolist()}
    there = {word for term in learned for word in np.unique(term).tolist()}
    return tuple(sorted(enough & there)[::2])
