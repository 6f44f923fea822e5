"""Relation of predicted to true cell types in the Cell Ontology."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from okrcell.ontology.ontology import ontology

RELATIONS: tuple[str, ...] = ("right", "broader", "narrower", "sibling", "wrong", "none")
"""right: the same type. broader: an ancestor of the true type. narrower: a descendant of the true type. sibling: both share a
parent. wrong: any other type. none: no prediction."""


def relation_fractions(truth: NDArray[np.str_], label: NDArray[np.str_]) -> Mapping[str, float]:
    """Return the fraction of cells of each category of `RELATIONS`; these sum to 1.

    ``truth`` and ``label`` are Cell Ontology ids; "" is no prediction. The additional key ``within_one_step`` is the fraction
    of cells whose prediction is the true type, its parent or its child.
    """
    if not len(truth):
        return {relation: float("nan") for relation in (*RELATIONS, "within_one_step")}
    pairs, count = np.unique(np.stack([truth, label]), axis=1, return_counts=True)
    fractions = dict.fromkeys((*RELATIONS, "within_one_step"), 0.0)
    for (true_id, predicted_id), n in zip(pairs.T.tolist(), count.tolist(), strict=True):
        relation = ontology_relation(true_id, predicted_id)
        fractions[relation] += n / len(truth)
        if relation == "right" or (relation in ("broader", "narrower") and _n_steps(true_id, predicted_id) == 1):
            fractions["within_one_step"] += n / len(truth)
    return fractions


@cache
def ontology_relation(truth: str, label: str) -> str:
    """Return the category of a predicted id given the true one: one of `RELATIONS`."""
    cells = ontology("CL")
    true_id, label_id = cells.current_id(truth), cells.current_id(label) if label else None
    if not label:
        return "none"
    if true_id is None or label_id is None:
        return "wrong"
    if true_id == label_id:
        return "right"
    if label_id in cells.ancestors(true_id):
        return "broader"
    if true_id in cells.ancestors(label_id):
        return "narrower"
    return "sibling" if set(cells.parents(true_id)) & set(cells.parents(label_id)) else "wrong"


@cache
def _n_steps(source: str, target: str) -> int | None:
    return ontology("CL").distance(source, target)
