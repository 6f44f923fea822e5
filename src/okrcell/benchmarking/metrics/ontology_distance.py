"""How wrong a wrong name is: by where it stands in the Cell Ontology."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from okrcell.knowledge.ontology import ontology

KINDS: tuple[str, ...] = ("right", "broader", "narrower", "sibling", "wrong", "none")
"""right: the same type. broader: the true type is a kind of it. narrower: it is a kind of the true type. sibling: both are
kinds of one parent. none: no answer."""


def ontology_shares(truth: NDArray[np.str_], label: NDArray[np.str_]) -> Mapping[str, float]:
    """Return the share of cells with each kind of answer; they sum to 1.

    ``truth`` and ``label`` are Cell Ontology ids; "" is no answer. Also ``within_one_step``: the share of the answers that are
    right, or its parent or child.
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
    """Say how an answer stands to the truth: one of `KINDS`."""
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
