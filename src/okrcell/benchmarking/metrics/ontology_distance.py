"""Relation of predicted to true cell types in the Cell Ontology."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.ontology import ontology

KINDS: tuple[str, ...] = ("right", "broader", "narrower", "sibling", "wrong", "none")
"""right: the same type. broader: an ancestor of the true type. narrower: a descendant of the true type. sibling: both share a
parent. wrong: any other type. none: no prediction."""


def ontology_shares(truth: NDArray[np.str_], label: NDArray[np.str_]) -> Mapping[str, float]:
    """Return the fraction of cells of each category of `KINDS`; these sum to 1.

    ``truth`` and ``label`` are Cell Ontology ids; "" is no prediction. The additional key ``within_one_step`` is the fraction
    of cells whose prediction is the true type, its parent or its child.
    """
    if not len(truth):
        return {kind: float("nan") for kind in (*KINDS, "within_one_step")}
    pairs, count = np.unique(np.stack([truth, label]), axis=1, return_counts=True)
    shares = dict.fromkeys((*KINDS, "within_one_step"), 0.0)
    for (true, given), number in zip(pairs.T.tolist(), count.tolist(), strict=True):
        kind = kind_of(true, given)
        shares[kind] += number / len(truth)
        if kind == "right" or (kind in ("broader", "narrower") and _steps(true, given) == 1):
            shares["within_one_step"] += number / len(truth)
    return shares


@cache
def kind_of(truth: str, given: str) -> str:
    """Return the category of a predicted id given the true one: one of `KINDS`."""
    cells = ontology("CL")
    true, answer = cells.current(truth), cells.current(given) if given else None
    if not given:
        return "none"
    if true is None or answer is None:
        return "wrong"
    if true == answer:
        return "right"
    if answer in cells.ancestors(true):
        return "broader"
    if true in cells.ancestors(answer):
        return "narrower"
    return "sibling" if set(cells.parents(true)) & set(cells.parents(answer)) else "wrong"


@cache
def _steps(one: str, other: str) -> int | None:
    return ontology("CL").distance(one, other)
