"""Drop studies whose labels contradict what is known of the types."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from okrcell.training.signatures import KnownTypes

MOST_DOUBTFUL = 0.34
"""Maximum fraction of contradictory profiles of a study; above it, all labels of the study are considered confused."""


def without_doubtful(known: KnownTypes) -> tuple[KnownTypes, tuple[str, ...]]:
    """Drop profiles that do not resemble their type (ours; the reliability of pairs, for whole clusters).

    A profile is compared with the signature of its type from marker tables and the other studies, on the genes that its
    study measured. It is contradictory if the cosine is not above zero. If more than a third of a study's profiles are
    contradictory, as in one whose labels were shifted by one row, the whole study is dropped.

    Returns
    -------
    The known types without these profiles and without types that have no other source, and the groups of studies that
    were dropped as a whole.
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
    # A type without genes would be matched by its stored text, and predict nothing.
    told = known.knowledge.any(axis=1) | np.isin(known.types, profiles.types)
    types = tuple(name for name, any_gene in zip(known.types, told.tolist(), strict=True) if any_gene)
    return KnownTypes(types, known.knowledge[told], profiles), confused


def _share(doubtful: NDArray[np.bool_], told: NDArray[np.bool_]) -> float:
    return float(doubtful.sum() / max(int(told.sum()), 1))
