"""Studies whose labels contradict what is known of the types are not learned from."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from okrcell.training.signatures import KnownTypes

MOST_DOUBTFUL = 0.34
"""A study of which more than a third of the profiles are unlike their own types has its labels confused as a whole."""


def without_doubtful(known: KnownTypes) -> tuple[KnownTypes, tuple[str, ...]]:
    """Leave out profiles that do not resemble their type at all (ours; the reliability of pairs, for whole clusters).

    A profile is compared with what marker tables and the other studies say of its type, on the genes that its study
    measured. It is doubtful if the cosine is not above zero. Where a third of a study's profiles are doubtful, as in one
    whose labels were shifted by one row, none of the study is kept.

    Returns
    -------
    The memory without them and without types of which nothing else is known, and the groups of studies that were left
    out whole.
    """
    found = known.profiles
    doubtful = np.zeros(len(found.type), dtype=bool)
    told = np.zeros(len(found.type), dtype=bool)
    for group in np.unique(found.group).tolist():
        knowledge, cells = known.parts(group)
        for number in np.flatnonzero(found.group == group).tolist():
            expected = (knowledge[known.owner[number]] + cells[known.owner[number]]) * found.measured[number]
            told[number] = bool(expected.any())
            doubtful[number] = told[number] and float(expected @ known.standard(number)) <= 0
    confused = tuple(
        group
        for group in np.unique(found.group).tolist()
        if _share(doubtful[found.group == group], told[found.group == group]) > MOST_DOUBTFUL
    )
    kept = np.flatnonzero(~doubtful & ~np.isin(found.group, confused))
    still, place = np.unique(found.type[kept], return_inverse=True)
    profiles = replace(
        found,
        types=tuple(found.types[number] for number in still.tolist()),
        group=found.group[kept],
        type=place,
        difference=found.difference[kept],
        measured=found.measured[kept],
    )
    # A type of which no gene is known would be found by heart, and predict nothing.
    told = known.knowledge.any(axis=1) | np.isin(known.types, profiles.types)
    types = tuple(name for name, any_gene in zip(known.types, told.tolist(), strict=True) if any_gene)
    return KnownTypes(types, known.knowledge[told], profiles), confused


def _share(doubtful: NDArray[np.bool_], told: NDArray[np.bool_]) -> float:
    return float(doubtful.sum() / max(int(told.sum()), 1))
